"""Four scores in one pass against one score.

python benchmarks/questions.py [--repeats N] [--small]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

import torch
from timing import Row, begin, interleave, medians, parser, print_table, ratios
from torch import Tensor
from widths import LAYERS, PUBLISHED_LAYERS, build_model, deepened

from aigv_reward import DIMENSIONS, AIGVRewardModel
from aigv_reward.dimensions import Dimension

LIMIT = 1.25
TEXT_TOKENS = 32
"""Length of the text prompt: about 20 English words."""


@torch.no_grad()
def ask(
    model: AIGVRewardModel,
    views: dict[str, Tensor],
    dimensions: Sequence[Dimension],
    text: list[int] | None,
) -> Tensor:
    """Scores of one video."""
    text_ids = None if text is None else [text]
    return model(**views, dimensions=dimensions, text_ids=text_ids).scores


def measure(
    model: AIGVRewardModel, layers: int, options: argparse.Namespace, *, warmup: int
) -> list[Row]:
    """The rows of one depth of the language model."""
    sampling = model.config.view_sampling
    keys = sampling.key_frames.num_frames
    shapes = {
        "key_frames": (keys, sampling.key_size),
        "fragments": (keys, sampling.grid * sampling.patch),
        "fast": (sampling.fast.num_frames, sampling.fast_size),
    }
    views = {
        name: torch.randn(1, frames, 3, side, side, device=options.device)
        for name, (frames, side) in shapes.items()
    }
    text = list(range(300, 300 + TEXT_TOKENS))
    seconds = interleave(
        {
            "one": partial(ask, model, views, ("overall",), None),
            "four": partial(ask, model, views, DIMENSIONS, None),
            "four with text": partial(ask, model, views, DIMENSIONS, text),
        },
        repeats=options.repeats,
        device=options.device,
        clock=options.clock,
        warmup=warmup,
    )
    depth = f"{layers} LLM layers"
    return [
        Row(
            f"{depth}: four scores / one",
            ratios(seconds["four"], seconds["one"]),
            LIMIT,
            remark=medians(seconds, "one", "four"),
        ),
        Row(
            f"{depth}: four scores with a text prompt of {TEXT_TOKENS} tokens / one without",
            ratios(seconds["four with text"], seconds["one"]),
            remark=medians(seconds, "four with text"),
        ),
    ]


def main() -> None:
    options = parser("Four scores against one.").parse_args()
    begin(options)
    model = build_model(small=options.small, device=options.device)
    rows = measure(model, LAYERS, options, warmup=1)
    deep = deepened(model, PUBLISHED_LAYERS)  # the same weights, warm by now
    rows += measure(deep, PUBLISHED_LAYERS, options, warmup=0)
    print_table("Four scores in one pass, published widths, fp32, one video", rows, options)


if __name__ == "__main__":
    main()

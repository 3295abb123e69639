"""From file to score, against the published way of doing it.

python benchmarks/published.py [--repeats N] [--small]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from clips import clips
from published_reference import PUBLISHED_WIDTHS, PublishedModel
from published_views import read
from timing import (
    Row,
    begin,
    bf16_refusal,
    interleave,
    medians,
    parser,
    print_table,
    ratios,
)
from torch import Tensor
from widths import LAYERS, config, fill, restore_frequencies

from aigv_reward import AIGVRewardModel, VideoReward
from aigv_reward.dimensions import Dimension
from aigv_reward.model.key_mapping import rename_published_keys
from aigv_reward.model.published_config import REVERSED_VALUES
from aigv_reward.views import ViewSampling

SAME_PRECISION = 1.2
BF16_CPU = 2.0
BF16_GPU = 5.0


def build(options: argparse.Namespace) -> tuple[PublishedModel, AIGVRewardModel]:
    """Both models around the same fp32 weights, which are random and in memory once."""
    ours_config = config(small=options.small)
    ours_config.level_values, ours_config.logit_divisor = REVERSED_VALUES, 100.0
    ours_config.sampling = ViewSampling.published().to_dict()
    prompt = ours_config.prompt_format
    words = ("excellent", "good", "fair", "poor", "bad")
    widths = {
        **(_small_widths() if options.small else PUBLISHED_WIDTHS),
        "llm_layers": LAYERS,
        "prompt_piece_ids": [*prompt.pieces, prompt.questions["overall"].ids],
        "level_ids": dict(zip(words, prompt.level_ids, strict=True)),
    }
    with torch.device("meta"):
        published, ours = PublishedModel(widths), AIGVRewardModel(ours_config)
    fill(published, options.device)
    restore_frequencies(ours, options.device)
    weights, _ = rename_published_keys(published.state_dict())
    ours.load_state_dict(weights, strict=True, assign=True)
    models = published, ours
    for model in models:
        model.eval().requires_grad_(False)
    return models


def _small_widths() -> dict[str, object]:
    text, semantic = {"llm_hidden": 32, "llm_heads": 2, "llm_intermediate": 64}, 32
    return {
        **text,
        "vit_dim": semantic,
        "vit_depth": 2,
        "vit_heads": 2,
        "swin_dim": 8,
        "swin_depths": [1, 1, 1, 1],
        "swin_heads": [1, 1, 2, 2],
        "slow_stem": 8,
        "slow_inner": [8, 16, 32, 64],
        "fast_depths": [1, 1, 1, 1],
    }


@torch.no_grad()
def published_scores(model: PublishedModel, paths: list[Path], device: torch.device) -> Tensor:
    """The published way: fp32 views and encoders, whatever the language model's precision."""
    views = [torch.cat(parts).to(device) for parts in zip(*map(read, paths), strict=True)]
    return model(*views)[1].cpu()


@torch.no_grad()
def our_scores(
    reward: VideoReward, paths: list[Path], dimensions: Sequence[Dimension] | None
) -> Tensor:
    """This package's way, through its public call."""
    scores = reward.score(list(paths), dimensions=dimensions, batch_size=len(paths))
    return scores.overall.cpu()


@torch.no_grad()
def difference(
    published: PublishedModel, ours: AIGVRewardModel, path: Path, device: torch.device
) -> float:
    """How far apart the two scores of the same views are.

    From files with B-frames the scores differ, since decord's seeks return other frames there.
    """
    local, fragments, slow, fast = (view.to(device) for view in read(path))
    theirs = published(local, fragments, slow, fast)[1]
    views = (view.transpose(1, 2).to(ours.dtype) for view in (local, fragments, fast))
    return float((ours(*views, dimensions=("overall",)).scores[:, 0] - theirs).abs().max())


def measure(
    name: str, limit: float, dtype: torch.dtype, paths: list[Path], options: argparse.Namespace
) -> list[Row]:
    """The rows of one precision: one score for one score, then our four for their one."""
    published, ours = build(options)
    published.llm_model.to(dtype)
    reward = VideoReward(ours).to(dtype=dtype)
    seconds = interleave(
        {
            "published": lambda: published_scores(published, paths, options.device),
            "ours": lambda: our_scores(reward, paths, ("overall",)),
            "ours, four": lambda: our_scores(reward, paths, None),
        },
        repeats=options.repeats,
        device=options.device,
        clock=options.clock,
    )
    apart = difference(published, ours, paths[0], options.device)
    return [
        Row(
            f"{name}: throughput, ours / published, the one published score",
            ratios(seconds["published"], seconds["ours"]),
            limit,
            "at least",
            medians(seconds, "published", "ours") + f"; scores of the same views {apart:.1e} apart",
        ),
        Row(
            f"{name}: throughput, our four scores / their one",
            ratios(seconds["published"], seconds["ours, four"]),
            remark=medians(seconds, "ours, four"),
        ),
    ]


def main() -> None:
    options_parser = parser("From file to score against the published way.")
    options_parser.add_argument("--batch", type=int, help="clips at once (default: 1, on a GPU 8)")
    options = options_parser.parse_args()
    begin(options)
    on_gpu = options.device.type == "cuda"
    rows: list[Row] = []
    with clips(small=options.small, names=("480p",)) as made:
        paths = list(made.values()) * (options.batch or (8 if on_gpu else 1))
        rows += measure("fp32", SAME_PRECISION, torch.float32, paths, options)
        for name, here, limit, device in (
            ("bf16 on a CPU", not on_gpu, BF16_CPU, torch.device("cpu")),
            ("bf16 on a GPU", on_gpu, BF16_GPU, torch.device("cuda")),
        ):
            refusal = _refusal(here, device)
            if refusal is None:
                rows += measure(name, limit, torch.bfloat16, paths, options)
            else:
                rows.append(Row(name, limit=limit, sense="at least", remark=refusal))
    print_table("From file to score, published widths, 2 LLM layers, H.264 480p", rows, options)


def _refusal(here: bool, device: torch.device) -> str | None:
    if device.type == "cuda" and not torch.cuda.is_available():
        return "no CUDA device"
    if not here:
        return f"another device was asked for; give --device {device}"
    return bf16_refusal(device)


if __name__ == "__main__":
    main()

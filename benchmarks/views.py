"""From a file to the model's views, against decoding the same frames alone.

python benchmarks/views.py [--repeats N] [--small]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from clips import clips
from timing import Row, begin, interleave, medians, parser, print_table, ratios

from aigv_reward import AIGVRewardConfig
from aigv_reward.reward.checkpoint import BUNDLED
from aigv_reward.reward.windows import read_views
from aigv_reward.video import read_frames
from aigv_reward.views import ViewSampling, frame_plan

LIMIT = 1.3


def samplings() -> dict[str, ViewSampling]:
    """The published sampling, the same with the antialiased resize, and the bundled default's."""
    published = ViewSampling.published()
    made = {"published": published, "bilinear": replace(published, interpolation="bilinear")}
    for folder in sorted(path.parent for path in BUNDLED.glob("*/config.json")):
        made[folder.name] = AIGVRewardConfig.from_pretrained(folder).view_sampling
    return made


def chooser(sampling: ViewSampling) -> Callable[[int, float], list[int]]:
    """The frames that a sampling takes of a video."""
    return lambda num_frames, fps: frame_plan(num_frames, sampling, fps=fps).union()


def bare_loop(path: Path, indices: set[int]) -> list[np.ndarray]:
    """The same frames by the shortest PyAV loop, which checks nothing about the file."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        found = []
        for position, frame in enumerate(container.decode(video=0)):
            if position in indices:
                found.append(frame.to_ndarray(format="rgb24"))
            if position == max(indices):
                break
    return found


def measure(path: Path, size: str, name: str, options: argparse.Namespace) -> list[Row]:
    """The rows of one clip under one sampling."""
    sampling = samplings()[name]
    choose = chooser(sampling)
    wanted = set(read_frames(path, choose).indices.tolist())
    seconds = interleave(
        {
            "views": lambda: read_views(path, sampling),
            "decoding": lambda: read_frames(path, choose),
            "bare loop": lambda: bare_loop(path, wanted),
        },
        repeats=options.repeats,
        device=options.device,
        clock=options.clock,
        warmup=2,
    )
    return [
        Row(
            f"{size}, {name} sampling: file to views / decoding",
            ratios(seconds["views"], seconds["decoding"]),
            LIMIT,
            remark=f"{len(wanted)} frames; {medians(seconds, 'views', 'decoding')}",
        ),
        Row(
            f"{size}, {name} sampling: file to views / bare PyAV loop",
            ratios(seconds["views"], seconds["bare loop"]),
            remark=medians(seconds, "bare loop"),
        ),
    ]


def main() -> None:
    options = parser("File to views against decoding alone.").parse_args()
    begin(options)
    with clips(small=options.small) as made:
        rows = [
            row
            for size, path in made.items()
            for name in samplings()
            for row in measure(path, size, name, options)
        ]
    print_table("File to views, uint8 path, H.264", rows, options)


if __name__ == "__main__":
    main()

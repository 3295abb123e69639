"""What the bundled default's model costs beside reading the file.

python benchmarks/default.py [--repeats N] [--small]
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from clips import write_clip
from timing import Row, begin, interleave, medians, parser, print_table, ratios

from aigv_reward import VideoReward, read_video
from aigv_reward.reward.windows import read_views

SECONDS, FPS = 5, 16


def main() -> None:
    options = parser("The default's model time against decoding.").parse_args()
    begin(options)
    reward = VideoReward.from_pretrained(device=options.device)
    height, width = (240, 256) if options.small else (720, 1280)
    with TemporaryDirectory() as folder, torch.no_grad():
        path = write_clip(
            Path(folder) / "clip.mp4", height=height, width=width, num_frames=SECONDS * FPS
        )
        views = reward.prepare(path)
        seconds = interleave(
            {
                "model": lambda: reward.score_views(views),
                "reading the views": lambda: read_views(path, reward.sampling),
                "decoding all": lambda: read_video(path),
            },
            repeats=options.repeats,
            device=options.device,
            clock=options.clock,
            warmup=2,
        )
    rows = [
        Row(
            "model / decoding the whole file",
            ratios(seconds["model"], seconds["decoding all"]),
            1.0,
            remark=medians(seconds, "model", "decoding all"),
        ),
        Row(
            "model / file to views",
            ratios(seconds["model"], seconds["reading the views"]),
            remark=medians(seconds, "reading the views"),
        ),
    ]
    print_table(f"Scoring a {SECONDS} s, {height}p mp4 with the default", rows, options)


if __name__ == "__main__":
    main()

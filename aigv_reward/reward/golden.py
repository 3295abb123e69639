"""Scores of fixed clips, which travel with a checkpoint and show when anything changes them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from torch import Tensor

from aigv_reward.dimensions import Dimension
from aigv_reward.reward.video_reward import VideoReward

GOLDEN_FILE = "golden.json"
FPS = 16.0
TOLERANCE = 2e-3  # of a score: what other processors' rounding may move

GoldenScores = dict[str, dict[Dimension, float]]


def golden_clips() -> dict[str, Tensor]:
    """{name: (T, 3, H, W) uint8}, the same on every machine.

    Waves that move, their noisy copy, and a still of one frame.
    """
    t = torch.arange(40, dtype=torch.float64)[:, None, None, None]
    c = torch.arange(3, dtype=torch.float64)[None, :, None, None]
    y = torch.arange(120, dtype=torch.float64)[None, None, :, None]
    x = torch.arange(200, dtype=torch.float64)[None, None, None, :]
    slow = torch.sin(x / 17 + c + 0.21 * t) * torch.cos(y / 11 - 0.13 * t)
    fine = torch.sin((x + 2 * t) / 2.3) * torch.sin((y - t) / 2.9 + c)
    waves = 127.5 + 80 * slow + 30 * fine
    position = ((t * 40 + c) * 120 + y) * 200 + x
    grain = (position * 0.754877666 + position**2 * 1e-7 * 0.569840291) % 1 - 0.5
    clips = {"waves": waves, "grain": waves + 90 * grain, "still": waves[:1]}
    return {name: clip.round().clamp(0, 255).to(torch.uint8) for name, clip in clips.items()}


@torch.no_grad()
def golden_scores(reward: VideoReward) -> GoldenScores:
    """What a reward's model says about `golden_clips`, without prompts or calibration."""
    clips = golden_clips()
    rows = VideoReward(reward.model).score(list(clips.values()), fps=FPS).rows()
    return dict(zip(clips, rows, strict=True))


def write_golden(reward: VideoReward, folder: str | os.PathLike[str]) -> Path:
    """Write a checkpoint's golden scores beside its weights; returns the file."""
    path = Path(folder) / GOLDEN_FILE
    content = {
        "score_version": reward.model.config.score_version,
        "scores": {
            name: {dimension: round(value, 6) for dimension, value in row.items()}
            for name, row in golden_scores(reward).items()
        },
    }
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def check_golden(reward: VideoReward, folder: str | os.PathLike[str]) -> None:
    """Compare a reward with the golden scores in its checkpoint's folder.

    Raises:
        ValueError: the folder has no golden scores, they are another version's, or a score is off
            by more than `TOLERANCE`.
    """
    path = Path(folder) / GOLDEN_FILE
    if not path.exists():
        raise ValueError(f"{path} is missing; write it with write_golden")
    content = json.loads(path.read_text())
    version = reward.model.config.score_version
    if content["score_version"] != version:
        raise ValueError(
            f"{path} holds the scores of version {content['score_version']!r}, the checkpoint is "
            f"{version!r}; write it anew"
        )
    for name, row in golden_scores(reward).items():
        for dimension, value in row.items():
            expected = content["scores"][name][dimension]
            if abs(value - expected) > TOLERANCE:
                raise ValueError(
                    f"{dimension} of clip {name!r} is {value:.5f}, version {version!r} gave "
                    f"{expected:.5f} (limit {TOLERANCE}); if the change is meant, raise "
                    "score_version and write the golden scores anew"
                )

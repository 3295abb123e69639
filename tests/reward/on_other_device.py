"""Scores and gradients on the CPU and on an accelerator, as JSON.

python -m tests.reward.on_other_device VIDEO CHECKPOINT
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import torch
from torch import Tensor

from aigv_reward import Draws, LowerBoundReward, VideoReward
from aigv_reward.corpus.item import Item, stamp_of
from aigv_reward.corpus.item_scoring import ItemScorer, ScorerSettings
from tests.other_device import other_device

PROMPTS = ["a cat"]


def measured(device: str, path: str, checkpoint: str) -> dict[str, Any]:
    """What is asked of a reward on a device; lists of numbers."""
    reward = VideoReward.from_pretrained(checkpoint, device=device)
    draw = torch.Generator().manual_seed(0)
    frames = torch.rand(1, 16, 3, 64, 96, generator=draw)

    def graded(score: Any) -> list[Tensor]:
        pixels = frames.to(device).clone().requires_grad_()
        values = score(pixels)
        values.sum().backward()
        assert values.device == pixels.device
        assert pixels.grad is not None
        return [values, pixels.grad]

    bounded = LowerBoundReward(reward, draws=Draws(2))
    found = {
        "lower bound": graded(lambda pixels: bounded(pixels, PROMPTS, fps=8)),
        "files and arrays": [
            reward.score([path, frames[0].permute(0, 2, 3, 1).numpy()], fps=8).technical
        ],
    }
    scorer = ItemScorer(ScorerSettings(checkpoint, device, ("technical", "overall")))
    (row,) = scorer([Item(b"clip", "file", os.fsencode(path), stamp=stamp_of(path))])
    assert row["status"] == "ok", row
    found["a corpus"] = [torch.tensor([row["technical"], row["overall"]])]
    reward.to(device, torch.bfloat16)
    found["bfloat16"] = [reward.score([path]).overall]
    return {
        name: [[float(x) for x in value.detach().cpu().flatten()[:50]] for value in values]
        for name, values in found.items()
    }


def mixing_is_refused(device: str) -> bool:
    try:
        torch.ones(2, device=device) + torch.ones(2)
    except RuntimeError:
        return True
    return False


if __name__ == "__main__":
    name, in_use = other_device(float64=False)
    result: dict[str, Any] = {"cpu": measured("cpu", *sys.argv[1:])}
    with in_use:
        result |= {"elsewhere": measured(name, *sys.argv[1:]), "refused": mixing_is_refused(name)}
    print(json.dumps(result))

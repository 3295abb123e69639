"""The published way to the views: three decode passes over the file, each with a seek a frame.

At scoring time the published code still draws the patches at random; here they are the cells'
centres, so that the score is a function of the video and can be compared.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import decord
import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
GRID, PATCH, SIDE = 7, 32, 224
LOCAL, STRIDE, FAST = 8, 2, 32

Take = Callable[[list[int]], Tensor]


def local_indices(num_frames: int) -> list[int]:
    """Every second frame around the middle."""
    start = max(0, (num_frames - (LOCAL - 1) * STRIDE - 1) // 2)
    return [(start + STRIDE * i) % num_frames for i in range(LOCAL)]


def fast_indices(num_frames: int) -> list[int]:
    """Spread over the video; a short one repeats its last frame."""
    if num_frames >= FAST:
        return torch.linspace(0, num_frames - 1, FAST, dtype=torch.float64).long().tolist()
    return [min(i, num_frames - 1) for i in range(FAST)]


def seek_each(path: Path) -> tuple[int, Take]:
    """A reader of its own, and a function that seeks to each frame that it is asked for."""
    reader = decord.VideoReader(str(path))

    def take(indices: list[int]) -> Tensor:
        found = {i: torch.from_numpy(reader[i].asnumpy()) for i in sorted(set(indices))}
        return torch.stack([found[i] for i in indices]).permute(3, 0, 1, 2)  # (3, T, H, W)

    return len(reader), take


def normalised(video: Tensor) -> Tensor:
    """(3, T, H, W) bytes to floats."""
    shift, scale = torch.tensor(MEAN), torch.tensor(STD)
    return ((video.float().permute(1, 2, 3, 0) - shift) / scale).permute(3, 0, 1, 2).contiguous()


def squeezed(video: Tensor) -> Tensor:
    """(3, T, H, W) to 224 x 224 by the nearest pixel."""
    return F.interpolate(video.transpose(0, 1), size=(SIDE, SIDE), mode="nearest").transpose(0, 1)


def fragments(video: Tensor) -> Tensor:
    """A patch from every cell, one after the other."""
    height, width = video.shape[-2:]
    out = torch.zeros(*video.shape[:2], GRID * PATCH, GRID * PATCH, dtype=video.dtype)
    down, across = (height // GRID - PATCH) // 2, (width // GRID - PATCH) // 2
    for i in range(GRID):
        for j in range(GRID):
            y = min(height // GRID * i, height - PATCH) + down
            x = min(width // GRID * j, width - PATCH) + across
            out[..., i * PATCH : (i + 1) * PATCH, j * PATCH : (j + 1) * PATCH] = video[
                ..., y : y + PATCH, x : x + PATCH
            ]
    return out


def views(opened: Callable[[], tuple[int, Take]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Local clip, fragments, slow and fast clip (1, 3, T, 224, 224); `opened` is called 3 times."""
    length, take = opened()
    local = squeezed(take(local_indices(length)))
    length, take = opened()
    patches = fragments(take(local_indices(length)))
    length, take = opened()
    fast = normalised(squeezed(take(fast_indices(length))))
    slow = fast[:, torch.linspace(0, FAST - 1, FAST // 4).long()]
    return normalised(local)[None], normalised(patches)[None], slow[None], fast[None]


def read(path: Path) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The four views of a file."""
    return views(lambda: seek_each(path))

"""What reward hacking changes first: light, colour, sharpness, motion and variety of videos."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

STATISTICS: Final = ("brightness", "saturation", "sharpness", "motion", "diversity")
LUMA: Final = (0.2126, 0.7152, 0.0722)  # BT.709
GRID: Final = 4  # a look's cells on a side


@torch.no_grad()
def video_statistics(frames: Tensor) -> dict[str, Tensor]:
    """Statistics of each video, in float32, each alone whatever the batch.

    - brightness: mean luma, in [0, 1].
    - saturation: mean of the largest channel minus the smallest, in [0, 1]; 0 is grey.
    - sharpness: mean squared Laplacian of the luma (4 y - its four neighbours) inside the frame.
    - motion: mean absolute difference of consecutive frames; 0 for one frame.
    - look: mean colour of a 4 x 4 grid over all frames; how looks differ is the diversity.

    Args:
        frames: (B, T, 3, H, W) in [0, 1]; H and W at least 4.

    Returns:
        {name: (B,)} of the first four and "look": (B, 48); each can be gathered from processes.

    Raises:
        ValueError: another shape or dtype, or values that are not finite.
    """
    if frames.ndim != 5 or frames.shape[2] != 3 or min(frames.shape[3:]) < GRID or not len(frames):
        raise ValueError(
            f"frames have shape {tuple(frames.shape)}; pass (B, T, 3, H, W) with H and W at least "
            f"{GRID}"
        )
    if not frames.is_floating_point():
        raise ValueError(f"frames are {frames.dtype}; pass floats in [0, 1]")
    rows = [_statistics(video.float()) for video in frames]  # one at a time, to save memory
    found = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    wrong = ~found["look"].isfinite().all(dim=1)
    if wrong.any():
        raise ValueError(f"video {int(wrong.nonzero()[0])} has pixels that are not finite")
    return found


def _statistics(video: Tensor) -> dict[str, Tensor]:
    """Of one (T, 3, H, W)."""
    luma = torch.einsum("tchw,c->thw", video, video.new_tensor(LUMA))
    neighbours = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    laplacian = 4 * luma[:, 1:-1, 1:-1] - neighbours
    moved = video[1:] - video[:-1]
    return {
        "brightness": luma.mean(),
        "saturation": (video.amax(dim=1) - video.amin(dim=1)).mean(),
        "sharpness": laplacian.square().mean(),
        "motion": moved.abs().mean() if len(moved) else video.new_zeros(()),
        "look": adaptive_avg_pool2d(video.mean(dim=0), GRID).flatten(),
    }


def diversity(looks: Tensor, earlier: Tensor) -> Tensor | None:
    """How far new looks are, on average, from each other and from earlier ones.

    Args:
        looks: (B, D) of the new videos.
        earlier: (N, D), N may be 0.

    Returns:
        scalar, the mean absolute difference over all pairs that a new look is part of; None where
        there is no pair.
    """
    apart = torch.cdist(looks, looks, p=1.0)
    across = torch.cdist(looks, earlier, p=1.0)
    count = len(looks) * (len(looks) - 1) // 2 + across.numel()
    if not count:
        return None
    return (apart.triu(1).sum() + across.sum()) / count / looks.shape[1]

"""Edits that nobody would call a loss of quality: a score should hardly notice them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from aigv_reward.distortions.codec import round_trip

CRF = 17
"""Rate factor of x264 that is taken for visually lossless."""

BRIGHTNESS = 0.02


def reencode(frames: Tensor, fps: float) -> Tensor:
    """The frames after x264 at rate factor `CRF`."""
    return round_trip(frames, codec="libx264", quality=CRF, preset="veryfast", fps=fps)


def shift(frames: Tensor, fps: float) -> Tensor:
    """Everything one pixel to the right; the first column is repeated."""
    return torch.cat((frames[..., :1], frames[..., :-1]), dim=-1)


def flip(frames: Tensor, fps: float) -> Tensor:
    """Left and right exchanged."""
    return frames.flip(-1)


def brighter(frames: Tensor, fps: float) -> Tensor:
    """All grey levels times 1 + `BRIGHTNESS`."""
    return scaled(frames, 1 + BRIGHTNESS)


def darker(frames: Tensor, fps: float) -> Tensor:
    """All grey levels times 1 - `BRIGHTNESS`."""
    return scaled(frames, 1 - BRIGHTNESS)


def scaled(frames: Tensor, gain: float) -> Tensor:
    """Grey levels times `gain`, rounded and clipped to 0..255."""
    return frames.float().mul_(gain).add_(0.5).clamp_(0, 255).to(torch.uint8)


HARMLESS: dict[str, Callable[[Tensor, float], Tensor]] = {
    edit.__name__: edit for edit in (reencode, shift, flip, brighter, darker)
}
"""{name: (frames uint8 (T, 3, H, W), fps) -> uint8 of the same shape}."""

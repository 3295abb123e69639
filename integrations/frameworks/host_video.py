"""What a host hands over, checked: its videos as frames, its prompts, the frame rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal

import torch
from torch import Tensor

from aigv_reward.integrations.rewards import within_range

Kind = Literal["float", "uint8"]

_OVERSHOOT = 0.5  # of the value range; an unclamped decoder stays well within it


def as_frames(
    video: Any,
    layout: str,
    *,
    kind: Kind = "float",
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Tensor:
    """(B, T, 3, H, W) float32 in [0, 1] from a host's tensor, in its graph.

    What overshoots the range a little, as an unclamped decoder does, is clamped and keeps its
    gradient.

    Args:
        video: the host's tensor.
        layout: the letters of its axes in order, "bcthw" or "tchw"; without b it is one video,
            without t every entry is one frame.
        kind: what the host passes, "float" (any width) or "uint8".
        value_range: of floats.

    Raises:
        ValueError: no tensor, another number of axes or channels, no pixels, another dtype, or
            floats that are not finite or lie outside the range by more than half of it.
    """
    if not isinstance(video, Tensor):
        raise ValueError(f"the video is a {type(video).__name__}; expected a tensor, {layout!r}")
    shape = tuple(video.shape)
    if len(shape) != len(layout) or shape[layout.index("c")] != 3 or not video.numel():
        raise ValueError(
            f"the video has shape {shape}; expected layout {layout!r} with 3 channels and at "
            "least one frame"
        )
    if (video.dtype == torch.uint8) != (kind == "uint8") or not (
        video.dtype == torch.uint8 or video.is_floating_point()
    ):
        expected = "uint8" if kind == "uint8" else f"float in {list(value_range)}"
        raise ValueError(f"the video is {video.dtype}; expected {expected}")
    frames = video
    for axis, letter in enumerate("bt"):
        if letter not in layout:
            frames, layout = frames.unsqueeze(axis), layout[:axis] + letter + layout[axis:]
    frames = frames.permute([layout.index(letter) for letter in "btchw"])
    if kind == "uint8":
        return frames.float() / 255
    frames = frames.to(torch.promote_types(frames.dtype, torch.float32))
    low, high = value_range
    least, most = (float(value) for value in torch.aminmax(frames.detach()))
    margin = _OVERSHOOT * (high - low)
    if not (low - margin <= least and most <= high + margin):
        raise ValueError(
            f"the video spans {least:.3g}..{most:.3g}; expected finite values in {low:g}..{high:g}"
        )
    return within_range((frames - low) / (high - low))


def checked_prompts(prompts: Any, count: int) -> list[str | None]:
    """One text or None a video.

    Raises:
        ValueError: one string, another number of entries, or entries that are no text.
    """
    if isinstance(prompts, str) or not isinstance(prompts, Sequence) or len(prompts) != count:
        what = f"{len(prompts)} entries" if isinstance(prompts, list | tuple) else repr(prompts)
        raise ValueError(f"prompts is {what} for {count} videos; pass a list with one text a video")
    for prompt in prompts:
        if not isinstance(prompt, str | None):
            raise ValueError(f"prompts has an entry {prompt!r}; pass a string or None a video")
    return list(prompts)


def checked_fps(fps: Any) -> float:
    """The frame rate as a float.

    Raises:
        ValueError: not a positive, finite number.
    """
    if isinstance(fps, bool) or not isinstance(fps, Real) or not 0 < float(fps) < math.inf:
        raise ValueError(
            f"fps is {fps!r}; give the positive frames per second of the generator's videos"
        )
    return float(fps)

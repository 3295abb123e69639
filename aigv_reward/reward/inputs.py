"""Anything that holds a video's frames, as one checked tensor."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from aigv_reward.video import Video, VideoSource

VideoInput: TypeAlias = VideoSource | Video | Tensor | np.ndarray | Sequence[Any]
Rates: TypeAlias = float | Sequence[float | None] | Tensor | np.ndarray | None
Layout = Literal["btchw", "bcthw", "bthwc"]

OVERSHOOT = 0.5  # of the value range; an unclamped decoder stays well within it


def is_source(video: VideoInput) -> bool:
    """Whether `video` has to be decoded: a path, bytes or a binary file object."""
    return isinstance(video, str | bytes | bytearray | memoryview | os.PathLike) or hasattr(
        video, "read"
    )


def as_video(video: VideoInput, fps: float | None) -> tuple[Tensor, float | None]:
    """Frames (T, 3, H, W) and frame rate of a video that is in memory.

    Args:
        video: a `Video`; a (T, 3, H, W) tensor; a (T, H, W, 3) array, as decoders and diffusers'
            `output_type="np"` give it; or a list of PIL frames. uint8, or float in [0, 1].
        fps: frames per second of a raw tensor, array or list; a `Video` has its own.

    Raises:
        ValueError: wrong layout, size, type or range.
    """
    if isinstance(video, Video):
        return video.frames, video.fps
    if isinstance(video, np.ndarray):
        if video.ndim != 4 or video.shape[-1] != 3:
            raise ValueError(
                f"array of shape {video.shape}: arrays are (T, H, W, 3); "
                "pass torch.from_numpy(...) for (T, 3, H, W)"
            )
        frames = _tensor_of(video).permute(0, 3, 1, 2)
    elif isinstance(video, Tensor):
        frames = video
    else:
        frames = _pil_frames(video)
    if frames.ndim != 4 or frames.shape[1] != 3:
        raise ValueError(
            f"frames of shape {tuple(frames.shape)}: one video is (T, 3, H, W); permute it, "
            "or call the reward on a batch with layout="
        )
    return checked(frames), fps


def _tensor_of(array: np.ndarray) -> Tensor:
    try:
        return torch.from_numpy(np.require(array, requirements=["C", "W"]))
    except (TypeError, ValueError) as error:  # long doubles, objects, another byte order
        raise ValueError(
            f"frames of dtype {array.dtype.str!r}; pass uint8 0..255 or float32 0..1"
        ) from error


def _pil_frames(video: Any) -> Tensor:
    if not isinstance(video, Sequence) or not video or not hasattr(video[0], "convert"):
        raise ValueError(
            f"cannot read a video from {type(video).__name__}; pass a path, bytes, a Video, a "
            "(T, 3, H, W) tensor, a (T, H, W, 3) array or a list of PIL frames"
        )
    for index, frame in enumerate(video):
        if not hasattr(frame, "convert"):
            raise ValueError(
                f"frame {index} of a list of PIL frames is {type(frame).__name__}; pass PIL "
                "frames only, or one (T, H, W, 3) array"
            )
    sizes = {frame.size for frame in video}
    if len(sizes) > 1:
        raise ValueError(f"PIL frames of different sizes {sorted(sizes)}; resize them to one size")
    stacked = np.stack([np.asarray(frame.convert("RGB")) for frame in video])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)


def as_batch(frames: Tensor, *, layout: Layout, value_range: tuple[float, float]) -> Tensor:
    """(B, T, 3, H, W) in [0, 1] or uint8 from a batch in a named layout and range.

    Raises:
        ValueError: no tensor, a shape that does not fit the layout, or values far outside the
            range.
    """
    orders = {"btchw": (0, 1, 2, 3, 4), "bcthw": (0, 2, 1, 3, 4), "bthwc": (0, 1, 4, 2, 3)}
    if layout not in orders:
        raise ValueError(f"unknown layout {layout!r}; choose from {', '.join(orders)}")
    if not isinstance(frames, Tensor):
        raise ValueError(
            f"frames is {type(frames).__name__}, not a tensor of 5 axes; stack them to one, or "
            "pass a list of videos to score"
        )
    if frames.ndim != 5 or frames.shape[layout.index("c")] != 3:
        raise ValueError(
            f"frames of shape {tuple(frames.shape)} are not {layout!r} with 3 channels; "
            "name the layout of your frames with layout="
        )
    low, high = value_range
    if not low < high:
        raise ValueError(f"value_range {value_range} must rise, from the darkest to the brightest")
    return checked(frames.permute(orders[layout]), value_range)


def checked(frames: Tensor, value_range: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """Frames (..., 3, H, W) as uint8, or as finite floats around [0, 1], in float32 or wider.

    Half precision is widened first: averaging pixels in it would cost more than a grey level.

    Raises:
        ValueError: no pixels, or none in memory, another dtype, NaN or infinite pixels, or floats
            that lie outside the range by more than half of it.
    """
    if frames.layout != torch.strided:
        raise ValueError(f"frames are a tensor {frames.layout}; pass a dense one")
    if frames.numel() == 0:
        raise ValueError(
            f"frames of shape {tuple(frames.shape)} hold no pixels; pass 1 frame or more"
        )
    if frames.dtype == torch.uint8:
        return frames
    if not frames.is_floating_point() or frames.element_size() < 2:  # float8 cannot be widened
        raise ValueError(f"frames of dtype {frames.dtype}; pass uint8 0..255 or float 0..1")
    frames = frames.to(torch.promote_types(frames.dtype, torch.float32))
    try:
        least, most = (float(value) for value in torch.aminmax(frames.detach()))
    except RuntimeError as error:
        if not frames.is_meta:
            raise
        raise ValueError("frames are on the meta device; pass a tensor with pixels") from error
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ValueError("frames hold NaN or infinite pixels; they have no score")
    low, high = value_range
    margin = OVERSHOOT * (high - low)
    if least < low - margin or most > high + margin:
        raise ValueError(
            f"float frames span {least:.3g}..{most:.3g}, expected {low:g}..{high:g}; name their "
            "range with value_range=, or pass uint8 for 0..255"
        )
    return frames if (low, high) == (0.0, 1.0) else (frames - low) / (high - low)


def per_video(values: Sequence[Any] | None, count: int, what: str) -> list[Any]:
    """One entry a video; None where `values` is None.

    Raises:
        ValueError: one string, what is no list, or another number of entries.
    """
    if values is None:
        return [None] * count
    listed = _is_listed(values)
    if not listed or len(values) != count:
        size = f"{len(values)} entries" if listed else f"one {_kind(values)}"
        raise ValueError(
            f"{what} has {size} for {count} videos; pass a list with one entry a video"
        )
    return list(values)


def frame_rates(fps: Rates, count: int) -> list[float | None]:
    """One frame rate a video from one for all, or one each.

    Raises:
        ValueError: another number of entries, or entries that are no numbers.
    """
    given: Any = fps.tolist() if isinstance(fps, Tensor | np.ndarray) else fps
    same = isinstance(given, Real)
    rates: list[Any] = [given] * count if same else per_video(given, count, "fps")
    for rate in rates:
        if rate is not None and not isinstance(rate, Real):
            raise ValueError(f"fps has an entry {rate!r}; give one number, or one a video")
    return rates


def check_counts(**counts: Any) -> None:
    """Raise unless every count is a whole number from 1 on.

    Raises:
        ValueError: it names all of them.
    """
    if not all(isinstance(count, Integral) and int(count) >= 1 for count in counts.values()):
        given = " and ".join(f"{name}={count!r}" for name, count in counts.items())
        raise ValueError(f"{given} must be at least 1, and whole numbers")


def video_count(videos: Sequence[VideoInput] | Tensor) -> int:
    """How many videos.

    Raises:
        ValueError: one video that is not in a list, none, or what has no order.
    """
    if isinstance(videos, Mapping | Set):
        raise ValueError(
            f"videos is a {type(videos).__name__}, in which none has a place; pass a list"
        )
    single = isinstance(videos, os.PathLike) or getattr(videos, "ndim", 5) in (0, 4)
    if single or not _is_listed(videos):
        raise ValueError(
            f"videos is one {type(videos).__name__}, not a list or a (B, T, 3, H, W) tensor; "
            "wrap it in [ ]"
        )
    if len(videos) == 0:
        raise ValueError("videos is empty; pass at least one")
    return len(videos)


def _is_listed(values: Any) -> bool:
    """Whether values are had by their place, and are not one string or bytes."""
    one = isinstance(values, str | bytes | bytearray | memoryview | Mapping)
    return not one and hasattr(values, "__len__") and hasattr(values, "__getitem__")


def _kind(values: Any) -> str:
    return "string" if isinstance(values, str) else type(values).__name__


def video_label(video: VideoInput, index: int) -> str:
    """What an error calls a video: its path, or its place in the list."""
    return repr(os.fspath(video)) if isinstance(video, str | os.PathLike) else f"videos[{index}]"

"""What reading a video returns, and what it raises."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


class VideoDecodeError(ValueError):
    """A video that cannot be read, with the path and the reason.

    Attributes:
        path: the file's path, or what stands for it where bytes were read. With one argument, as
            data loaders rebuild a worker's error, it is the whole message and `reason` is empty.
        reason: why the video cannot be read.
    """

    def __init__(self, path: str, reason: str = "") -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot read video {self.path}: {self.reason}" if self.reason else self.path


def _check(frames: Tensor, fps: float, owner: str) -> None:
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
        raise ValueError(
            f"{owner}.frames is {frames.dtype} {tuple(frames.shape)}; it must be uint8 (T, 3, H, W)"
        )
    if frames.numel() == 0:
        raise ValueError(
            f"{owner}.frames is {tuple(frames.shape)}; at least one frame of one pixel is needed"
        )
    if not 0 < fps < math.inf:
        raise ValueError(f"{owner}.fps is {fps}; it must be positive and finite")


@dataclass(frozen=True)
class Video:
    """A decoded video.

    Attributes:
        frames: (T, 3, H, W) uint8, RGB, in presentation order, T at least 1. Decoded frames are a
            permuted view of (T, H, W, 3) memory.
        fps: mean frames per second.

    Raises:
        ValueError: frames of another type or shape, no frames, or fps not positive and finite.
    """

    frames: Tensor
    fps: float

    def __post_init__(self) -> None:
        _check(self.frames, self.fps, "Video")


@dataclass(frozen=True)
class SampledFrames:
    """Some frames of a video, each of them once.

    Attributes:
        frames: (N, 3, H, W) uint8, RGB. Decoded frames are a permuted view of (N, H, W, 3) memory.
        indices: (N,) long, where each frame stands in the video; ascending, without repeats.
        num_frames: length of the whole video.
        fps: mean frames per second of the whole video.

    Raises:
        ValueError: frames of another type or shape, no frames, fps not positive and finite, or
            indices that do not match the frames.
    """

    frames: Tensor
    indices: Tensor
    num_frames: int
    fps: float

    def __post_init__(self) -> None:
        _check(self.frames, self.fps, "SampledFrames")
        indices = self.indices
        if indices.dtype != torch.long or indices.shape != self.frames.shape[:1]:
            raise ValueError(
                f"SampledFrames.indices is {indices.dtype} {tuple(indices.shape)}; "
                f"it must be int64 ({self.frames.shape[0]},), one index a frame"
            )
        if (indices.diff() <= 0).any() or indices[0] < 0 or indices[-1] >= self.num_frames:
            raise ValueError(
                f"SampledFrames.indices is {indices.tolist()}; "
                f"it must ascend without repeats within 0..{self.num_frames - 1}"
            )

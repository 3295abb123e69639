"""The views of consecutive windows of a video, decoded once for all of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from aigv_reward.video import VideoDecodeError, VideoSource, read_frames
from aigv_reward.views import (
    FramePlan,
    Views,
    ViewSampling,
    build_views,
    enlarged_size,
    frame_plan,
)


def window_bounds(num_frames: int, clips: int) -> list[tuple[int, int]]:
    """[start, end) of `clips` consecutive windows that cover a video.

    Where there are fewer frames than windows, each window is one frame and neighbours share it.
    """
    starts = [i * num_frames // clips for i in range(clips + 1)]
    return [(start, max(end, start + 1)) for start, end in pairwise(starts)]


@dataclass(frozen=True)
class Draws:
    """Extra looks at a video, at frames and patches drawn at random.

    Every video gets the same draws, so that its scores do not depend on its batch.

    Attributes:
        count: how many, besides the one look that is always the same.
        seed: of all of them.
    """

    count: int = 0
    seed: int = 0

    def spread(self) -> Draws:
        """These draws, which must give a standard deviation.

        Raises:
            ValueError: fewer than two.
        """
        if self.count < 2:
            raise ValueError(f"draws.count is {self.count}; a standard deviation needs 2 or more")
        return self

    def generators(self) -> list[torch.Generator | None]:
        """None for the look that is always the same, then a generator for each extra one."""
        root = torch.Generator().manual_seed(self.seed)
        seeds = torch.randint(2**62, (self.count,), generator=root).tolist()
        return [None, *(torch.Generator().manual_seed(seed) for seed in seeds)]


Plans = list[tuple[FramePlan, torch.Generator | None]]


NO_DRAWS = Draws()


def window_plans(
    num_frames: int,
    sampling: ViewSampling,
    *,
    fps: float | None,
    clips: int,
    draws: Draws = NO_DRAWS,
) -> Plans:
    """Frame plans in indices of the whole video: for each window, its looks in order.

    With each plan comes the generator that draws its patches.
    """
    return [
        (frame_plan(end - start, sampling, fps=fps, generator=generator).shifted(start), generator)
        for start, end in window_bounds(num_frames, clips)
        for generator in draws.generators()
    ]


def window_views(
    frames: Tensor,
    sampling: ViewSampling,
    *,
    fps: float | None,
    clips: int = 1,
    draws: Draws = NO_DRAWS,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """Views of frames (B, T, 3, H, W), window by window and look by look.

    Returns:
        (clips * (1 + draws) * B, ...); with draws B must be 1, since patches are drawn a video.
    """
    assert not draws.count or len(frames) == 1
    plans = window_plans(frames.shape[1], sampling, fps=fps, clips=clips, draws=draws)
    return Views.cat(
        [
            build_views(frames, plan, sampling, generator=generator, dtype=dtype)
            for plan, generator in plans
        ]
    )


def read_views(
    source: VideoSource,
    sampling: ViewSampling,
    *,
    clips: int = 1,
    draws: Draws = NO_DRAWS,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """Views of a file's windows (clips * (1 + draws), ...); every frame is decoded once.

    Raises:
        VideoDecodeError: it cannot be read, or its frames are too far from square to be seen.
    """
    plans: Plans = []

    def choose(num_frames: int, fps: float) -> list[int]:
        plans.extend(window_plans(num_frames, sampling, fps=fps, clips=clips, draws=draws))
        return sorted({index for plan, _ in plans for index in plan.union()})

    sampled = read_frames(source, choose)
    frames = sampled.frames[None]
    height, width = frames.shape[-2:]
    try:
        enlarged_size(height, width, sampling.grid * sampling.patch)
    except ValueError as error:
        raise VideoDecodeError(_name(source), str(error)) from error
    return Views.cat(
        [
            build_views(
                frames,
                plan,
                sampling,
                available=sampled.indices,
                generator=generator,
                dtype=dtype,
            )
            for plan, generator in plans
        ]
    )


def _name(source: VideoSource) -> str:
    """What an error calls a file, as reading it does."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "<file object>"

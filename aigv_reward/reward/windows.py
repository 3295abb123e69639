"""The views of consecutive windows of a video, decoded once for all of them."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import BinaryIO

import torch
from torch import Tensor

from aigv_reward.video import read_frames
from aigv_reward.views import FramePlan, Views, ViewSampling, build_views, frame_plan


def window_bounds(num_frames: int, clips: int) -> list[tuple[int, int]]:
    """[start, end) of `clips` consecutive windows that cover a video.

    Where there are fewer frames than windows, each window is one frame and neighbours share it.
    """
    starts = [i * num_frames // clips for i in range(clips + 1)]
    return [(start, max(end, start + 1)) for start, end in pairwise(starts)]


def window_plans(
    num_frames: int, sampling: ViewSampling, *, fps: float | None, clips: int
) -> list[FramePlan]:
    """One frame plan a window, in indices of the whole video."""
    return [
        frame_plan(end - start, sampling, fps=fps).shifted(start)
        for start, end in window_bounds(num_frames, clips)
    ]


def window_views(
    frames: Tensor,
    sampling: ViewSampling,
    *,
    fps: float | None,
    clips: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """Views of frames (B, T, 3, H, W), window by window: (clips * B, ...)."""
    plans = window_plans(frames.shape[1], sampling, fps=fps, clips=clips)
    return Views.cat([build_views(frames, plan, sampling, dtype=dtype) for plan in plans])


def read_views(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    sampling: ViewSampling,
    *,
    clips: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """Views of a file's windows (clips, ...); every frame that any view needs is decoded once."""
    plans: list[FramePlan] = []

    def choose(num_frames: int, fps: float) -> list[int]:
        plans.extend(window_plans(num_frames, sampling, fps=fps, clips=clips))
        return sorted({index for plan in plans for index in plan.union()})

    sampled = read_frames(source, choose)
    frames = sampled.frames[None]
    return Views.cat(
        [
            build_views(frames, plan, sampling, available=sampled.indices, dtype=dtype)
            for plan in plans
        ]
    )

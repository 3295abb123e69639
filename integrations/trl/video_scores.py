"""Scores of videos that exist already: files, bytes, cells of a data set, tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aigv_reward import RewardFn, Video, read_video
from aigv_reward.integrations.rewards import scores_of
from aigv_reward.integrations.trl.request_scores import RowScores


def video_of(value: Any, fps: float | None) -> tuple[Tensor, float | None]:
    """(T, 3, H, W) in [0, 1] of a cell, and its frames per second.

    Args:
        value: a path, bytes, a cell of `datasets.Video(decode=False)`, a `Video`, or a tensor
            (T, 3, H, W), float in [0, 1] or uint8.
        fps: of tensors; files know theirs.

    Raises:
        VideoDecodeError: a file that cannot be read.
        ValueError: something else.
    """
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str | os.PathLike | bytes):
        value = read_video(value)
    if isinstance(value, Video):
        return value.frames.float() / 255, value.fps
    if isinstance(value, Tensor) and value.ndim == 4 and value.shape[1] == 3:
        return (value.float() / 255 if value.dtype == torch.uint8 else value), fps
    got = tuple(value.shape) if isinstance(value, Tensor) else repr(value)[:80]
    raise ValueError(f"a video is {got}; give a path, bytes, a Video or a tensor (T, 3, H, W)")


@torch.no_grad()
def score_video(
    reward: RewardFn,
    value: Any,
    prompt: str | None,
    *,
    fps: float | None = None,
    weights: Mapping[str, float] | None = None,
) -> RowScores:
    """Total and dimensions of one video.

    Args:
        reward: any reward.
        value: see `video_of`.
        prompt: what the reward reads.
        fps: of tensors.
        weights: {dimension: weight} of the total, see `scores_of`.

    Raises:
        VideoDecodeError, ValueError: the video cannot be read or has no score.
    """
    frames, rate = video_of(value, fps)
    scores = scores_of(reward, frames[None], [prompt], fps=rate, weights=weights)
    values = {name: float(column[0]) for name, column in scores.values.items()}
    return RowScores(float(scores.total[0]), values)

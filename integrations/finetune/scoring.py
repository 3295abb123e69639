"""The reward of each video of a batch, failures kept apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.rewards import scores_of


@dataclass(frozen=True)
class Scored:
    """Rewards of a batch.

    Attributes:
        total: (B,) weighted reward; NaN where it failed.
        values: {dimension: (B,)} likewise.
        valid: (B,) bool, whether the video has a reward.
        errors: {row: message} of the others.
    """

    total: Tensor
    values: dict[str, Tensor]
    valid: Tensor
    errors: dict[int, str]


@torch.no_grad()
def score_each(
    reward: RewardFn,
    frames: Tensor,
    prompts: Sequence[str],
    *,
    fps: float | None = None,
    weights: Mapping[str, float] | None = None,
    all_may_fail: bool = False,
) -> Scored:
    """Rewards one video at a time, so that one failure costs one row.

    Args:
        reward: any reward.
        frames: (B, T, 3, H, W); clamped to [0, 1] here.
        prompts: one a video.
        fps: frames per second.
        weights: of the dimensions in the total.
        all_may_fail: a batch without any reward is no error.

    Raises:
        RuntimeError: every video failed; the message is the first one's.
    """
    rows: list[tuple[float, dict[str, float]]] = []
    errors: dict[int, str] = {}
    for index, prompt in enumerate(prompts):
        video = frames[index : index + 1].clamp(0, 1)
        try:
            scores = scores_of(reward, video, [prompt], fps=fps, weights=weights)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a user's reward raises; told, counted and masked
            errors[index] = f"{type(error).__name__}: {error}"
            rows.append((float("nan"), {}))
        else:
            named = {name: float(column[0]) for name, column in scores.values.items()}
            rows.append((float(scores.total[0]), named))
    if len(errors) == len(prompts) and not all_may_fail:
        raise RuntimeError(f"the reward failed for all {len(prompts)} videos: {errors[0]}")
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    nan = float("nan")
    return Scored(
        total=torch.tensor([total for total, _ in rows]),
        values={name: torch.tensor([row.get(name, nan) for _, row in rows]) for name in names},
        valid=torch.tensor([index not in errors for index in range(len(prompts))]),
        errors=errors,
    )

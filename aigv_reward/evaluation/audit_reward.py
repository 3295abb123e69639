"""Any reward as named scores, each answer checked before it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.evaluation.audit_clips import AuditClip
from aigv_reward.reward import RewardFn, VideoReward
from aigv_reward.reward.weighting import weighted_sum
from aigv_reward.views import Views

PLAIN = "reward"
"""What the score of a reward that returns one tensor is called."""


class RewardError(ValueError):
    """A reward that gave no usable answer; names the clip and what was done to it."""


class CheckedReward:
    """A reward as a function of frames to {score: (B,)}.

    A `VideoReward` answers in every dimension, and with its weighted sum as "reward" where that is
    more than one dimension. A plain tensor is the score "reward".

    Args:
        reward: any reward.
        device: where the frames are put.
    """

    def __init__(self, reward: RewardFn, *, device: str | torch.device) -> None:
        self.reward = _all_dimensions(reward) if isinstance(reward, VideoReward) else reward
        self.device = device
        self.names: tuple[str, ...] = ()

    def __call__(self, frames: Tensor, clip: AuditClip, doing: str) -> dict[str, Tensor]:
        """{score: (B,)} of frames (B, T, 3, H, W), uint8 or float in [0, 1].

        Args:
            frames: versions of the clip.
            clip: gives prompt and frame rate, and its name to errors.
            doing: what was done to the clip, for errors.

        Raises:
            RewardError: the reward fails, or its answer is no finite (B,) tensor a score, or has
                other scores than before.
        """
        where = f"on clip {clip.name!r} ({doing})"
        batch = frames.to(self.device)
        if batch.dtype == torch.uint8:
            batch = batch.float() / 255
        prompts = None if clip.prompt is None else [clip.prompt] * len(batch)
        try:
            answer: Any = self.reward(batch, prompts, fps=clip.fps)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise RewardError(f"the reward failed {where}: {reason}") from error
        scores = _named(answer, len(batch), where)
        self.names = self.names or tuple(scores)
        if set(scores) != set(self.names):
            raise RewardError(
                f"the reward scored {', '.join(scores)} {where}, but {', '.join(self.names)} "
                "before; return the same scores every time"
            )
        return {name: scores[name] for name in self.names}


def _named(answer: Any, batch: int, where: str) -> dict[str, Tensor]:
    scores = dict(answer) if isinstance(answer, Mapping) else {PLAIN: answer}
    if not scores:
        raise RewardError(f"the reward returned no score {where}; return at least one")
    for name, value in scores.items():
        if not isinstance(value, Tensor) or value.shape != (batch,) or value.is_complex():
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise RewardError(
                f"the reward returned {got} as {str(name)!r} {where}; return a real tensor of "
                f"shape ({batch},), one score a video, or one such tensor a dimension"
            )
        if not torch.isfinite(value.detach()).all():
            raise RewardError(
                f"the reward returned {value.detach().tolist()} as {str(name)!r} {where}; every "
                "score must be finite"
            )
    return {str(name): value for name, value in scores.items()}


def _all_dimensions(reward: VideoReward) -> RewardFn:
    """The reward as {dimension: (B,)}, differentiable, with the weighted sum where it is one."""
    calibration = reward.model.config.calibration
    names = [n for n in reward.dimensions if not reward.calibrated or n in (calibration or ())]
    alone = len(reward.weights) == 1 and set(reward.weights.values()) == {1.0}

    def scores(
        frames: Tensor, prompts: Sequence[str | None] | None, *, fps: Any = None
    ) -> dict[str, Tensor]:
        views = Views.cat([reward.prepare(video, fps=fps) for video in frames])
        values = reward.score_views(views, prompts, dimensions=names)
        named = {str(name): value for name, value in values.items()}
        return named if alone else {**named, PLAIN: weighted_sum(values, reward.weights)}

    return scores


def headline(names: Sequence[str]) -> str:
    """The score that stands for the whole: "reward", else "overall", else the first."""
    return next((name for name in (PLAIN, "overall") if name in names), names[0])


def own_score(dimension: str, names: Sequence[str]) -> str | None:
    """The score that should fall most with a dimension's distortions.

    The dimension's own, else the headline, unless that is another dimension's.
    """
    if dimension in names:
        return dimension
    main = headline(names)
    return main if answers_for(main, dimension) else None


def answers_for(score: str, dimension: str) -> bool:
    """Whether a score should fall with distortions of a dimension."""
    return score == dimension or score not in DIMENSIONS or score == "overall"

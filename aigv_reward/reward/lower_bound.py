"""A reward that is sure of itself, or lower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aigv_reward.dimensions import Dimension
from aigv_reward.reward.inputs import VideoInput
from aigv_reward.reward.scores import Scores
from aigv_reward.reward.video_reward import DEFAULT_DRAWS, VideoReward
from aigv_reward.reward.windows import Draws


class LowerBoundReward:
    """The mean of several opinions of a video less some of their standard deviations.

    The opinions are those of one reward through views drawn at random, or of several checkpoints.
    What raises one opinion alone, as pixels that exploit a patch or a network do, raises the
    standard deviation with it.

    Args:
        rewards: one reward, or two or more checkpoints' that score the same dimensions.
        deviations: how many standard deviations are taken off, 0 or more.
        draws: views that one reward draws; several rewards use their fixed views.

    Raises:
        ValueError: no rewards, rewards of different dimensions or calibration, negative
            `deviations`, fewer than two draws.

    References: reward ensembles with a conservative objective, Coste et al. (arXiv 2310.02743),
        section 3.3.
    """

    def __init__(
        self,
        rewards: VideoReward | Sequence[VideoReward],
        *,
        deviations: float = 1.0,
        draws: Draws = DEFAULT_DRAWS,
    ) -> None:
        self.rewards = (rewards,) if isinstance(rewards, VideoReward) else tuple(rewards)
        self.deviations, self.draws = float(deviations), draws
        if not self.rewards:
            raise ValueError("rewards is empty; give one, or two or more for an ensemble")
        first = self.rewards[0]
        for other in self.rewards[1:]:
            if other.dimensions != first.dimensions or other.calibrated != first.calibrated:
                raise ValueError(
                    f"the rewards score {first.dimensions} (calibrated: {first.calibrated}) and "
                    f"{other.dimensions} (calibrated: {other.calibrated}); give checkpoints that "
                    "agree"
                )
        if not deviations >= 0:
            raise ValueError(f"deviations is {deviations}; give 0 or more")
        if len(self.rewards) == 1 and draws.count < 2:
            raise ValueError(f"draws.count is {draws.count}; one reward needs 2 or more")

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Dimensions that are scored."""
        return self.rewards[0].dimensions

    def __call__(
        self, frames: Tensor, prompts: Sequence[str | None] | None = None, **kwargs: Any
    ) -> Tensor:
        """(B,), the lower bound of the weighted sum, differentiable in `frames`.

        Args:
            frames: (B, T, 3, H, W).
            prompts: see `VideoReward.__call__`.
            kwargs: fps, layout and value_range, likewise.
        """
        if len(self.rewards) == 1:
            opinions = self.rewards[0].drawn(frames, prompts, draws=self.draws, **kwargs)
        else:
            opinions = torch.stack([reward(frames, prompts, **kwargs) for reward in self.rewards])
        return opinions.mean(dim=0) - self.deviations * _std(opinions)

    def score(
        self,
        videos: Sequence[VideoInput] | Tensor,
        prompts: Sequence[str | None] | None = None,
        **kwargs: Any,
    ) -> Scores:
        """Mean scores with their standard deviations; `Scores.lower_bound` subtracts them.

        Args:
            videos: see `VideoReward.score`; several rewards read each file once each.
            prompts: see `VideoReward.score`.
            kwargs: the other arguments of `VideoReward.score`.
        """
        if len(self.rewards) == 1:
            return self.rewards[0].score(
                videos, prompts, return_std=True, draws=self.draws, **kwargs
            )
        parts = [reward.score(videos, prompts, **kwargs) for reward in self.rewards]
        stacked = {name: torch.stack([p[name] for p in parts]) for name in parts[0].dimensions}
        trained = [name for name in parts[0].trained if all(name in p.trained for p in parts)]
        return Scores(
            values={name: values.mean(dim=0) for name, values in stacked.items()},
            trained=tuple(trained),
            calibrated=parts[0].calibrated,
            std={name: _std(values) for name, values in stacked.items()},
        )


def _std(opinions: Tensor) -> Tensor:
    """Standard deviation over the first axis, with a gradient where all opinions agree."""
    return (opinions.var(dim=0) + 1e-12).sqrt()

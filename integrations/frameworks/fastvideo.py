"""FastVideo: a scorer for its `build_multi_reward_scorer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.frameworks.detached_scores import detached_scores
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts


class FastVideoScorer:
    """A value of `build_multi_reward_scorer(..., scorers={name: scorer})`.

    Args:
        reward: any reward.
        fps: frames per second of the generated videos.
        weights: {dimension: weight} of the score; None: the reward's own, or its "overall".

    Attributes:
        scores: {dimension: (B,)} of the last call, for logging.

    Raises:
        ValueError: fps is not positive.
    """

    def __init__(
        self, reward: RewardFn, *, fps: float, weights: Mapping[str, float] | None = None
    ) -> None:
        self.reward, self.fps, self.weights = reward, checked_fps(fps), weights
        self.scores: Mapping[str, Tensor] = {}

    def __call__(self, media: Tensor, prompts: Sequence[str]) -> Tensor:
        """(B,) on the media's device, without a graph.

        Args:
            media: (B, C, T, H, W) float in [0, 1].
            prompts: B texts.

        Raises:
            ValueError: another layout, dtype or range, scores that are not finite.
        """
        frames = as_frames(media, "bcthw")
        texts = checked_prompts(prompts, len(frames))
        scores = detached_scores(self.reward, frames, texts, fps=self.fps, weights=self.weights)
        self.scores = scores.values
        return scores.total.to(media.device)

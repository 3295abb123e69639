"""VideoX-Fun: a reward for its back-propagation scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from aigv_reward.integrations.frameworks.configured_reward import configured_reward
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts
from aigv_reward.integrations.rewards import BatchScores, scores_of


class VideoXFunReward:
    """A reward class for `videox_fun.reward.reward_fn`, built from `--reward_fn_kwargs`.

    Args:
        device, dtype: given by VideoX-Fun, of a checkpoint's weights.
        fps: frames per second of the frames that reach the reward.
        max_reward: the loss is |reward - max_reward| with it, -reward without.
        loss_scale: factor of the loss.
        options: of `configured_reward`: `reward`, or `checkpoint`, `calibrated` and
            `gradient_checkpointing`; and `weights`.

    Attributes:
        scores: {dimension: (B,)} of the last call, detached, for logging.

    Raises:
        ValueError: no fps, or an option that does not exist.
    """

    def __init__(
        self,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        fps: float | None = None,
        max_reward: float | None = None,
        loss_scale: float = 1.0,
        **options: Any,
    ) -> None:
        self.fps, self.max_reward, self.loss_scale = checked_fps(fps), max_reward, loss_scale
        self.reward, self.weights = configured_reward(options, device=device, dtype=dtype)
        self.scores: Mapping[str, Tensor] = {}

    def __call__(
        self, batch_frames: Tensor, batch_prompt: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean loss and mean reward, both in the graph of the frames."""
        rewards = self.get_reward(batch_frames, batch_prompt)
        far = -rewards if self.max_reward is None else (rewards - self.max_reward).abs()
        return (far * self.loss_scale).mean(), rewards.mean()

    def get_reward(self, batch_frames: Tensor, batch_prompt: Sequence[str] | None = None) -> Tensor:
        """(B,), in the graph of the frames.

        Args:
            batch_frames: (B, C, T, H, W) float in [0, 1].
            batch_prompt: B texts, or None.

        Raises:
            ValueError: another layout, dtype or range, scores that are not finite.
        """
        return self._scores(batch_frames, batch_prompt).total

    def get_reward_all_dims(
        self, batch_frames: Tensor, batch_prompt: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """{dimension: (B,)}, in the graph of the frames; arguments as for `get_reward`."""
        return self._scores(batch_frames, batch_prompt).values

    def _scores(self, batch_frames: Tensor, batch_prompt: Sequence[str] | None) -> BatchScores:
        frames = as_frames(batch_frames, "bcthw")
        texts = None if batch_prompt is None else checked_prompts(batch_prompt, len(frames))
        scores = scores_of(self.reward, frames, texts, fps=self.fps, weights=self.weights)
        self.scores = {name: value.detach() for name, value in scores.values.items()}
        return scores

"""GenRL: a score function of the module that its config names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.frameworks.detached_scores import detached_scores
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts


class GenRLScore:
    """What a `name_score(device)` of GenRL's reward module returns.

    ```python
    def aigv_score(device):
        return GenRLScore(VideoReward.from_pretrained(device=device), device, fps=16)
    ```

    Args:
        reward: any reward.
        device: where the scores are wanted; GenRL stacks those of all its rewards.
        fps: frames per second of the generated videos.
        weights: {dimension: weight} of the score; None: the reward's own, or its "overall".

    Raises:
        ValueError: fps is not positive.
    """

    def __init__(
        self,
        reward: RewardFn,
        device: str | torch.device,
        *,
        fps: float,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self.reward, self.device = reward, torch.device(device)
        self.fps, self.weights = checked_fps(fps), weights

    def __call__(
        self, images: Any, prompts: Any, metadata: Any = None, only_strict: bool = True
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """{"avg": (B,)} and {dimension: (B,)}, on the device, without a graph.

        Args:
            images: (B, F, C, H, W) float in [0, 1].
            prompts: B texts.
            metadata, only_strict: not read.

        Raises:
            ValueError: another layout, dtype or range, scores that are not finite.
        """
        frames = as_frames(images, "btchw")
        texts = checked_prompts(prompts, len(frames))
        scores = detached_scores(self.reward, frames, texts, fps=self.fps, weights=self.weights)
        values = {name: value.to(self.device) for name, value in scores.values.items()}
        return {"avg": scores.total.to(self.device)}, values

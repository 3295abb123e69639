"""UniRL: a reward backend for its ReFL recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.frameworks.configured_reward import configured_reward
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts
from aigv_reward.integrations.rewards import scores_of


class UniRLReward:
    """The `backend` of UniRL's reward role: its DifferentiableReward protocol, for videos.

    Args:
        base_device: given by UniRL, of a checkpoint's weights.
        fps: frames per second of the generated videos.
        dtype: of a checkpoint's weights.
        options: of `configured_reward`: `reward`, or `checkpoint`, `calibrated` and
            `gradient_checkpointing`; and `weights`.

    Attributes:
        scores: {dimension: (B,)} of the last call, detached, for logging.

    Raises:
        ValueError: no fps, or an option that does not exist.
    """

    input_kind = preferred_input_kind = "video"

    def __init__(
        self,
        base_device: str | torch.device,
        *,
        fps: float | None = None,
        dtype: str | torch.dtype = "float32",
        **options: Any,
    ) -> None:
        self.device, self.fps = torch.device(base_device), checked_fps(fps)
        self.reward, self.weights = configured_reward(options, device=self.device, dtype=dtype)
        self.scores: Mapping[str, Tensor] = {}

    def __call__(self, video: Tensor, prompts: Sequence[str]) -> Tensor:
        """(B,), in the graph of the video.

        Args:
            video: (B, C, T, H, W) float in [-1, 1].
            prompts: B texts.

        Raises:
            ValueError: another layout, dtype or range, scores that are not finite.
        """
        frames = as_frames(video, "bcthw", value_range=(-1.0, 1.0))
        texts = checked_prompts(prompts, len(frames))
        scores = scores_of(self.reward, frames, texts, fps=self.fps, weights=self.weights)
        self.scores = {name: value.detach() for name, value in scores.values.items()}
        return scores.total

    def compute_rewards_differentiable(
        self, media_tensor: Tensor, prompts: Sequence[str], records: Any = None
    ) -> Tensor:
        """The same under UniRL's name for it; `records` are not read."""
        return self(media_tensor, prompts)

    def get_model_name(self) -> str:
        """What UniRL logs."""
        return "aigv_reward"

    def is_available(self) -> bool:
        """True: it is loaded when it is built."""
        return True

    def offload(self) -> None:
        """Takes a checkpoint's weights off the device."""
        if isinstance(self.reward, VideoReward):
            self.reward.to("cpu")

    def onload(self) -> None:
        """Brings them back."""
        if isinstance(self.reward, VideoReward):
            self.reward.to(self.device)

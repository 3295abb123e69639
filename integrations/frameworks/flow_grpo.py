"""flow_grpo and DiffusionNFT: an entry of their table of score functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.frameworks.detached_scores import detached_scores
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts

FlowGRPOLayout = Literal["btchw", "bchw", "bhwc"]


class FlowGRPOScore:
    """What a `name_score(device)` of flow_grpo returns.

    ```python
    def aigv_score(device):
        reward = VideoReward.from_pretrained(device=device)
        return FlowGRPOScore(reward, device, fps=16, layout="btchw")
    ```

    Args:
        reward: any reward.
        device: where the scores are wanted.
        fps: frames per second of the generated videos.
        layout: what the training script passes: "btchw" videos or "bchw" images, float in [0, 1],
            or "bhwc" images, uint8. An image is scored as a video of one frame.
        weights: {dimension: weight} of the score; None: the reward's own, or its "overall".

    Raises:
        ValueError: fps is not positive, or another layout.
    """

    def __init__(
        self,
        reward: RewardFn,
        device: str | torch.device,
        *,
        fps: float,
        layout: FlowGRPOLayout,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        if layout not in get_args(FlowGRPOLayout):
            raise ValueError(
                f"unknown layout {layout!r}; choose from {', '.join(get_args(FlowGRPOLayout))}"
            )
        self.reward, self.device, self.layout = reward, torch.device(device), layout
        self.fps, self.weights = checked_fps(fps), weights

    def __call__(
        self, images: Any, prompts: Any, metadata: Any = None, only_strict: bool = True
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Scores (B,) and {dimension: (B,)}, on the device, without a graph.

        Args:
            images: in the layout that was named; a tensor, or an array of uint8 images.
            prompts: B texts.
            metadata, only_strict: not read.

        Raises:
            ValueError: another layout, dtype or range, scores that are not finite.
        """
        if isinstance(images, np.ndarray):
            images = torch.from_numpy(images)
        kind: Literal["float", "uint8"] = "uint8" if self.layout == "bhwc" else "float"
        frames = as_frames(images, self.layout, kind=kind)
        texts = checked_prompts(prompts, len(frames))
        scores = detached_scores(self.reward, frames, texts, fps=self.fps, weights=self.weights)
        return scores.total.to(self.device), {
            name: value.to(self.device) for name, value in scores.values.items()
        }

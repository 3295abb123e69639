"""Flow-Factory: a pointwise reward model that its YAML names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flow_factory.rewards import PointwiseRewardModel, RewardModelOutput
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.frameworks.configured_reward import configured_reward
from aigv_reward.integrations.frameworks.detached_scores import detached_scores_of_list
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts


class FlowFactoryReward(PointwiseRewardModel):
    """Scores Flow-Factory's samples; a subclass, because Flow-Factory passes over other classes.

    Args:
        config: Flow-Factory's reward arguments; `fps` and the options of `configured_reward` are
            keys of the reward's YAML entry, which arrive in `config.extra_kwargs`.
        accelerator: Flow-Factory's.

    Raises:
        ValueError: no fps, or an option that does not exist.
    """

    required_fields = ("prompt", "video")
    use_tensor_inputs = True

    def __init__(self, config: Any, accelerator: Any) -> None:
        super().__init__(config, accelerator)
        options = dict(config.extra_kwargs)
        self.fps = checked_fps(options.pop("fps", None))
        self.reward, self.weights = configured_reward(options, device=self.device, dtype=self.dtype)
        # what Flow-Factory moves between devices
        self.model = self.reward.model if isinstance(self.reward, VideoReward) else None

    def __call__(
        self,
        prompt: list[str],
        image: Any = None,
        video: Sequence[Tensor] | Tensor | None = None,
        audio: Any = None,
        condition_images: Any = None,
        condition_videos: Any = None,
        **kwargs: Any,
    ) -> RewardModelOutput:
        """`rewards` (B,) and, in `extra_info`, every dimension (B,); without a graph.

        Args:
            prompt: B texts.
            video: B videos (T, C, H, W), float in [0, 1], of any sizes.
            image, audio, condition_images, condition_videos, kwargs: not read.

        Raises:
            ValueError: no video, another layout, dtype or range, scores that are not finite.
        """
        if video is None:
            raise ValueError("the samples have no video; this reward scores videos, not images")
        frames = [as_frames(one, "tchw")[0] for one in video]
        prompts = checked_prompts(prompt, len(frames))
        scores = detached_scores_of_list(
            self.reward, frames, prompts, fps=self.fps, weights=self.weights
        )
        return RewardModelOutput(rewards=scores.total, extra_info=scores.values)

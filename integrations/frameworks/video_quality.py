"""Mean quality of videos, as a metric of torchmetrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from aigv_reward import RewardFn, VideoReward
from aigv_reward.integrations.frameworks.host_video import checked_fps, checked_prompts
from aigv_reward.integrations.rewards import values_of


class VideoQuality(Metric):
    """Mean score of all videos so far, by dimension.

    ```python
    quality = VideoQuality(VideoReward.from_pretrained(), fps=16)
    quality.update(frames, ["a cat surfing"])
    quality.compute()  # {"technical": tensor(3.9), "motion": ...}
    ```

    `forward` returns the means of its batch in the graph of the frames. `to` moves the sums, not
    the reward, whose device is yours.

    Args:
        reward: any reward.
        fps: frames per second of the videos.
        dimensions: what to average; None: those that a `VideoReward` was trained to answer. Other
            rewards must name them: "reward" for one that returns a plain tensor.
        kwargs: of `torchmetrics.Metric`.

    Raises:
        ValueError: fps is not positive; dimensions that are empty, twice the same, not named or
            not among those of a `VideoReward`.
    """

    is_differentiable = True
    higher_is_better = True
    full_state_update = False

    total: Tensor
    videos: Tensor

    def __init__(
        self,
        reward: RewardFn,
        *,
        fps: float,
        dimensions: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.reward, self.fps = reward, checked_fps(fps)
        self.dimensions = _checked_dimensions(reward, dimensions)
        self.add_state("total", torch.zeros(len(self.dimensions)), dist_reduce_fx="sum")
        self.add_state("videos", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, frames: Tensor, prompts: Sequence[str | None] | None = None) -> None:
        """Adds a batch.

        Args:
            frames: (B, T, 3, H, W), RGB, float in [0, 1]; a `VideoReward` takes uint8 as well.
            prompts: one text or None a video, or None.

        Raises:
            ValueError: a dimension that the reward does not return; what `values_of` and the
                reward refuse.
        """
        texts = None if prompts is None else checked_prompts(prompts, len(frames))
        values = values_of(self.reward, frames, texts, fps=self.fps)
        for name in self.dimensions:
            if name not in values:
                raise ValueError(
                    f"dimensions have {name!r}, which the reward does not return; it returned "
                    f"{', '.join(values)}"
                )
        sums = torch.stack([values[name].sum() for name in self.dimensions])
        self.total = self.total + sums.to(self.total)
        self.videos = self.videos + len(frames)

    def compute(self) -> dict[str, Tensor]:
        """{dimension: mean}.

        Raises:
            ValueError: no video was added.
        """
        if not self.videos:
            raise ValueError("no video was scored since the last reset; call update first")
        return dict(zip(self.dimensions, (self.total / self.videos).unbind(), strict=True))


def _checked_dimensions(reward: RewardFn, names: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(reward, VideoReward):
        names = tuple(reward.trained or reward.weights) if names is None else names
        for name in names:
            if name not in reward.dimensions:
                raise ValueError(
                    f"unknown dimension {name!r}; this reward scores {', '.join(reward.dimensions)}"
                )
    if names is None:
        raise ValueError(
            "dimensions are missing; name those that the reward returns, or 'reward' for one "
            "that returns a plain tensor"
        )
    if isinstance(names, str) or not names or len(set(names)) < len(names):
        raise ValueError(f"dimensions are {names!r}; give a list of different names")
    return tuple(names)

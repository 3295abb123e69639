"""Quality of AI-generated video in four dimensions, as a callable, differentiable reward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigv_reward.lazy_names import lazy_names

if TYPE_CHECKING:
    from aigv_reward.dimensions import DIMENSIONS
    from aigv_reward.model import AIGVRewardConfig, AIGVRewardModel
    from aigv_reward.reward import (
        Draws,
        FilterRules,
        LowerBoundReward,
        RewardFn,
        Scores,
        VideoReward,
    )
    from aigv_reward.video import Video, VideoDecodeError, read_video

__version__ = "0.1.0"

__all__ = [
    "DIMENSIONS",
    "AIGVRewardConfig",
    "AIGVRewardModel",
    "Draws",
    "FilterRules",
    "LowerBoundReward",
    "RewardFn",
    "Scores",
    "Video",
    "VideoDecodeError",
    "VideoReward",
    "read_video",
]

_HOME = {
    "DIMENSIONS": "aigv_reward.dimensions",
    "AIGVRewardConfig": "aigv_reward.model",
    "AIGVRewardModel": "aigv_reward.model",
    "Draws": "aigv_reward.reward",
    "FilterRules": "aigv_reward.reward",
    "LowerBoundReward": "aigv_reward.reward",
    "RewardFn": "aigv_reward.reward",
    "Scores": "aigv_reward.reward",
    "VideoReward": "aigv_reward.reward",
    "Video": "aigv_reward.video",
    "VideoDecodeError": "aigv_reward.video",
    "read_video": "aigv_reward.video",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOME)

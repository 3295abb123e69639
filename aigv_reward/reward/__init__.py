"""The quality model as a reward: scores of anything that holds frames, with gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigv_reward.lazy_names import lazy_names

if TYPE_CHECKING:
    from aigv_reward.reward.filter_rules import Decision, FilterRules
    from aigv_reward.reward.lower_bound import LowerBoundReward
    from aigv_reward.reward.reward_fn import RewardFn
    from aigv_reward.reward.scores import Scores
    from aigv_reward.reward.video_reward import VideoReward
    from aigv_reward.reward.windows import Draws

__all__ = [
    "Decision",
    "Draws",
    "FilterRules",
    "LowerBoundReward",
    "RewardFn",
    "Scores",
    "VideoReward",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "Decision": "aigv_reward.reward.filter_rules",
            "Draws": "aigv_reward.reward.windows",
            "FilterRules": "aigv_reward.reward.filter_rules",
            "LowerBoundReward": "aigv_reward.reward.lower_bound",
            "RewardFn": "aigv_reward.reward.reward_fn",
            "Scores": "aigv_reward.reward.scores",
            "VideoReward": "aigv_reward.reward.video_reward",
        },
    )

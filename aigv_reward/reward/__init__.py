"""The quality model as a reward: scores of anything that holds frames, with gradients."""

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

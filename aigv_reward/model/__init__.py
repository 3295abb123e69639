"""The quality model: its config, its modules and the conversion of published checkpoints."""

from aigv_reward.model.configuration_aigv_reward import AIGVRewardConfig
from aigv_reward.model.modeling_aigv_reward import AIGVRewardModel, AIGVRewardOutput

__all__ = ["AIGVRewardConfig", "AIGVRewardModel", "AIGVRewardOutput"]

"""The quality model: its config, its modules and the conversion of published checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigv_reward.lazy_names import lazy_names
from aigv_reward.model.configuration_aigv_reward import AIGVRewardConfig

if TYPE_CHECKING:
    from aigv_reward.model.modeling_aigv_reward import AIGVRewardModel, AIGVRewardOutput

__all__ = ["AIGVRewardConfig", "AIGVRewardModel", "AIGVRewardOutput"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "AIGVRewardModel": "aigv_reward.model.modeling_aigv_reward",
            "AIGVRewardOutput": "aigv_reward.model.modeling_aigv_reward",
        },
    )

"""Hooks for TRL: rewards of rewritten prompts and chosen clips, and data sets of preferences."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigv_reward.integrations.trl.column_reward import QualityColumnReward, bundled_reward
    from aigv_reward.integrations.trl.dimension_rewards import video_reward_funcs
    from aigv_reward.integrations.trl.preferences import preference_dataset
    from aigv_reward.integrations.trl.prompt_reward import (
        AsyncVideoPromptReward,
        VideoPromptReward,
    )

__all__ = [
    "AsyncVideoPromptReward",
    "QualityColumnReward",
    "VideoPromptReward",
    "bundled_reward",
    "preference_dataset",
    "video_reward_funcs",
]

# The public names and the modules that define them, loaded at first use.
_HOME = {
    "AsyncVideoPromptReward": "aigv_reward.integrations.trl.prompt_reward",
    "QualityColumnReward": "aigv_reward.integrations.trl.column_reward",
    "VideoPromptReward": "aigv_reward.integrations.trl.prompt_reward",
    "bundled_reward": "aigv_reward.integrations.trl.column_reward",
    "preference_dataset": "aigv_reward.integrations.trl.preferences",
    "video_reward_funcs": "aigv_reward.integrations.trl.dimension_rewards",
}
_NEEDS = {
    "preference_dataset": "datasets",
    "AsyncVideoPromptReward": "diffusers",
    "VideoPromptReward": "diffusers",
    "video_reward_funcs": "diffusers",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    library = _NEEDS.get(name)
    if library is not None and find_spec(library) is None:
        extra = "diffusers" if library == "diffusers" else "trl"
        raise ImportError(
            f'{__name__}.{name} needs {library}: pip install "aigv-reward[{extra}]"', name=library
        )
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

"""Fine-tuning of diffusers' video generators with a reward."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigv_reward.integrations.finetune.dpo import VideoDPOConfig, VideoDPOTrainer
    from aigv_reward.integrations.finetune.grpo import FlowGRPOConfig, FlowGRPOTrainer
    from aigv_reward.integrations.finetune.hacking_watch import HackingWatch, WatchLimit
    from aigv_reward.integrations.finetune.nft import NFTConfig, NFTTrainer
    from aigv_reward.integrations.finetune.preference_data import read_preferences
    from aigv_reward.integrations.finetune.prompt_data import read_prompts
    from aigv_reward.integrations.finetune.reward_backprop import (
        RewardBackpropConfig,
        RewardBackpropTrainer,
    )
    from aigv_reward.integrations.finetune.samples_page import Sample, SamplesPage
    from aigv_reward.integrations.finetune.script import ScriptArguments

__all__ = [
    "FlowGRPOConfig",
    "FlowGRPOTrainer",
    "HackingWatch",
    "NFTConfig",
    "NFTTrainer",
    "RewardBackpropConfig",
    "RewardBackpropTrainer",
    "Sample",
    "SamplesPage",
    "ScriptArguments",
    "VideoDPOConfig",
    "VideoDPOTrainer",
    "WatchLimit",
    "read_preferences",
    "read_prompts",
]

# The public names and the modules that define them, loaded at first use.
_HOME = {
    "ScriptArguments": "aigv_reward.integrations.finetune.script",
    "FlowGRPOTrainer": "aigv_reward.integrations.finetune.grpo",
    "FlowGRPOConfig": "aigv_reward.integrations.finetune.grpo",
    "VideoDPOTrainer": "aigv_reward.integrations.finetune.dpo",
    "VideoDPOConfig": "aigv_reward.integrations.finetune.dpo",
    "RewardBackpropTrainer": "aigv_reward.integrations.finetune.reward_backprop",
    "RewardBackpropConfig": "aigv_reward.integrations.finetune.reward_backprop",
    "NFTTrainer": "aigv_reward.integrations.finetune.nft",
    "NFTConfig": "aigv_reward.integrations.finetune.nft",
    "HackingWatch": "aigv_reward.integrations.finetune.hacking_watch",
    "Sample": "aigv_reward.integrations.finetune.samples_page",
    "SamplesPage": "aigv_reward.integrations.finetune.samples_page",
    "WatchLimit": "aigv_reward.integrations.finetune.hacking_watch",
    "read_preferences": "aigv_reward.integrations.finetune.preference_data",
    "read_prompts": "aigv_reward.integrations.finetune.prompt_data",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec("diffusers") is None:
        raise ImportError(
            f'{__name__}.{name} needs diffusers: pip install "aigv-reward[diffusers]"',
            name="diffusers",
        )
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

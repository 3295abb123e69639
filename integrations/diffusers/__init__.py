"""Hooks for diffusers' video pipelines: decode latents, select, filter, guide and steer."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigv_reward.integrations.diffusers.filtering import RewardFilter
    from aigv_reward.integrations.diffusers.guidance import RewardGuidance
    from aigv_reward.integrations.diffusers.latents import decode_latents, register_latents
    from aigv_reward.integrations.diffusers.modular import RewardGuider
    from aigv_reward.integrations.diffusers.particles import Steered, steer
    from aigv_reward.integrations.diffusers.ranked import Ranked
    from aigv_reward.integrations.diffusers.selection import best_of_n

__all__ = [
    "Ranked",
    "RewardFilter",
    "RewardGuidance",
    "RewardGuider",
    "Steered",
    "best_of_n",
    "decode_latents",
    "register_latents",
    "steer",
]

# The public names and the modules that define them, loaded at first use.
_HOME = {
    "steer": "aigv_reward.integrations.diffusers.particles",
    "Steered": "aigv_reward.integrations.diffusers.particles",
    "RewardGuider": "aigv_reward.integrations.diffusers.modular",
    "RewardGuidance": "aigv_reward.integrations.diffusers.guidance",
    "RewardFilter": "aigv_reward.integrations.diffusers.filtering",
    "Ranked": "aigv_reward.integrations.diffusers.ranked",
    "best_of_n": "aigv_reward.integrations.diffusers.selection",
    "decode_latents": "aigv_reward.integrations.diffusers.latents",
    "register_latents": "aigv_reward.integrations.diffusers.latents",
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

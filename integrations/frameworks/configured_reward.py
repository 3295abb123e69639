"""The reward that a host's configuration describes, for hosts that build it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch

from aigv_reward import RewardFn, VideoReward

_LOADING = ("checkpoint", "calibrated", "gradient_checkpointing")
_OPTIONS = ("reward", "weights", *_LOADING)


def configured_reward(
    options: Mapping[str, Any], *, device: str | torch.device, dtype: torch.dtype | str | None
) -> tuple[RewardFn, dict[str, float] | None]:
    """A reward from plain values, and the weights of its dimensions.

    Args:
        options: `reward`, "module:name" of any callable reward; or `checkpoint` (default: the
            bundled one), `calibrated` and `gradient_checkpointing` of
            `VideoReward.from_pretrained`. `weights`, {dimension: weight}, goes with both.
        device: where a `VideoReward` is put; a named reward is taken as it is.
        dtype: of a `VideoReward`'s weights, None for float32.

    Raises:
        ValueError: an option that does not exist, or that a named reward cannot take; a name
            that is not "module:name" of a callable; what `VideoReward.from_pretrained` refuses.
        ImportError: there is no such module.
    """
    for name in options:
        if name not in _OPTIONS:
            raise ValueError(f"unknown option {name!r}; choose from fps, {', '.join(_OPTIONS)}")
    given = options.get("weights")
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"weights is {given!r}; write {{dimension: weight}}")
    weights = None if given is None else {str(k): float(v) for k, v in given.items()}
    named = options.get("reward")
    if named is None:
        loading = {name: options[name] for name in _LOADING if name in options}
        checkpoint = loading.pop("checkpoint", None)
        known: Any = weights
        return VideoReward.from_pretrained(
            checkpoint, weights=known, device=device, dtype=dtype, **loading
        ), weights
    for name in _LOADING:
        if name in options:
            raise ValueError(f"{name} belongs to a checkpoint; leave it out with reward={named!r}")
    module, _, attribute = str(named).partition(":")
    reward = getattr(import_module(module), attribute, None) if attribute else None
    if not callable(reward):
        raise ValueError(
            f"reward={named!r} names no callable; write 'module:name' of a function "
            "(frames, prompts, *, fps=None) -> scores"
        )
    return reward, weights

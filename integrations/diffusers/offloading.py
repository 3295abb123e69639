"""What a hook must know of the ways that diffusers moves a component between devices."""

from __future__ import annotations

from typing import Any

from torch import nn


def bring_to_device(module: nn.Module) -> None:
    """Loads a module of `enable_model_cpu_offload` before some of its submodules are called.

    As `apply_forward_hook` of diffusers does before `vae.decode`.
    """
    hook = getattr(module, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(module)


def is_group_offloaded(module: nn.Module) -> bool:
    """Whether group offloading swaps the weights of a part of the module."""
    return any(
        registry is not None and registry.get_hook("group_offloading") is not None
        for registry in (getattr(part, "_diffusers_hook", None) for part in module.modules())
    )


def is_moved_by_hooks(module: nn.Module) -> bool:
    """Whether hooks decide where the module runs, so that its weights' device does not tell."""
    return is_group_offloaded(module) or any(_is_hooked(part) for part in module.modules())


def _is_hooked(part: Any) -> bool:
    return getattr(part, "_hf_hook", None) is not None

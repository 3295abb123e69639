"""A second LoRA adapter that follows the learning one as a moving average."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import TrainerCallback

from aigv_reward.integrations.finetune.lora import lora_state, set_lora_state

FILE = "old_policy.safetensors"


class OldPolicy:
    """The policy that samples; it begins as the learning one.

    Args:
        denoisers: that have a LoRA adapter "default".
    """

    NAME = "old"

    def __init__(self, denoisers: Mapping[str, nn.Module]) -> None:
        self.denoisers = denoisers
        for model in denoisers.values():
            adapters: Any = model
            adapters.add_adapter(adapters.peft_config["default"], self.NAME)
            for name, parameter in model.named_parameters():
                if f".{self.NAME}." in name:
                    parameter.data = parameter.data.float()
            adapters.set_adapter("default")
        self.update(0.0)

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Old = decay * old + (1 - decay) * policy."""
        for model in self.denoisers.values():
            parameters = dict(model.named_parameters())
            for name, old in parameters.items():
                if f".{self.NAME}." in name:
                    now = parameters[name.replace(f".{self.NAME}.", ".default.")]
                    old.copy_(old.mul(decay).add(now, alpha=1 - decay))

    def follow(self, decay: Callable[[int], float]) -> TrainerCallback:
        """A callback that updates it after every step of the optimizer."""
        return _Follow(self, decay)

    def save(self, folder: str | os.PathLike[str], *, write: bool = True) -> None:
        """Write its weights beside a checkpoint's; where they are sharded, all processes call."""
        state = {
            f"{name}.{key}": value.contiguous().cpu()
            for name, model in self.denoisers.items()
            for key, value in lora_state(model, self.NAME).items()
        }
        if write:
            save_file(state, Path(folder) / FILE)

    def load(self, folder: str | os.PathLike[str]) -> None:
        """Go on from what `save` wrote."""
        state = load_file(Path(folder) / FILE)
        for name, model in self.denoisers.items():
            prefix = f"{name}."
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            set_lora_state(model, own, self.NAME)


class _Follow(TrainerCallback):
    def __init__(self, old: OldPolicy, decay: Callable[[int], float]) -> None:
        self.old, self.decay = old, decay

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.old.update(self.decay(state.global_step))

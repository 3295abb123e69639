"""FSDP2 on the denoisers of a pipeline, which calls them outside the module that a trainer wraps.

Each denoiser is a unit of its own, so a call of the pipeline gathers its weights for as long as it
runs, and each of its repeated blocks is a unit within it. A call is a collective one: all processes
must call and differentiate the same denoisers in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env
from torch import nn
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME


def check_sharding(args: TrainingArguments) -> None:
    """Raise where a launcher would shard in a way that pipelines cannot be called in.

    Raises:
        ValueError: ZeRO stage 3, FSDP1, or FSDP2 that keeps its shards in CPU memory.
    """
    plugin = args.deepspeed_plugin
    if plugin is not None and plugin.zero_stage == 3:
        raise ValueError(
            "ZeRO stage 3 shards the denoiser's weights, which the pipeline and the saved LoRA "
            "need whole; use ZeRO stage 1 or 2, or FSDP2 (fsdp: true, or distributed_type: FSDP "
            "with fsdp_version: 2)"
        )
    version, offload = 2, False
    if args.fsdp:
        config: Mapping[str, Any] = args.fsdp_plugin_args or {}
        version, offload = config.get("fsdp_version", 2), config.get("cpu_offload", False)
    elif parse_flag_from_env("ACCELERATE_USE_FSDP"):
        version = int(os.environ.get("FSDP_VERSION", "1"))
        offload = parse_flag_from_env("FSDP_OFFLOAD_PARAMS")
    if version != 2:
        raise ValueError(
            f"fsdp_version is {version}; FSDP1 cannot shard a model that a pipeline calls by "
            "itself, set fsdp_version: 2"
        )
    if offload:
        raise ValueError(
            "FSDP keeps the denoiser's weights in CPU memory, and the pipeline would run where its "
            "weights are; leave fsdp_offload_params out"
        )


def shard_denoisers(accelerator: Accelerator, denoisers: Mapping[str, nn.Module]) -> None:
    """Tell accelerate's FSDP2 which modules are units: the denoisers and their repeated blocks.

    The rest is set whatever was asked for. Types stay, since mixed precision would round the LoRA
    weights on their way to where they are used. Units are sharded again after each call, or what is
    written to their weights between two calls would be lost. Every process has loaded the weights.
    """
    plugin: Any = accelerator.state.fsdp_plugin
    plugin.mixed_precision_policy = None
    plugin.reshard_after_forward = True
    plugin.cpu_ram_efficient_loading = False
    plugin.auto_wrap_policy = transformer_auto_wrap_policy
    plugin.transformer_cls_names_to_wrap = sorted(
        {name for model in denoisers.values() for name in _units(model)}
    )


def _units(model: nn.Module) -> set[str]:
    present = {type(module).__name__ for module in model.modules()}
    repeated: Any = getattr(model, "_repeated_blocks", None) or model._no_split_modules
    return {type(model).__name__, *(present & set(repeated or ()))}


def check_checkpoint(checkpoint: Path, *, sharded: bool) -> None:
    """Raise where the optimizer's state is not written as this run reads it.

    Raises:
        ValueError: it was saved under FSDP and is read without it, or the other way.
    """
    plain = (checkpoint / OPTIMIZER_NAME).exists()
    other = plain if sharded else not plain and any(checkpoint.glob("optimizer*"))
    if other:
        was = "without" if sharded else "under"
        raise ValueError(
            f"{checkpoint} was saved {was} FSDP, and its optimizer goes on only {was} it; launch "
            "the run as it was begun, or begin a new one"
        )


class Sharding(TrainerCallback):
    """Does for a sharded run what plain ones do by themselves; for those it changes nothing."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Call the wrapped module before a pipeline calls a part: the first is FSDP2's root."""
        kwargs["model"](lambda: None)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Gradients of 0 for what no loss has reached, such as an expert of other noise levels."""
        for weight in kwargs["model"].parameters():
            if isinstance(weight, DTensor) and weight.requires_grad and weight.grad is None:
                weight.grad = torch.zeros_like(weight)

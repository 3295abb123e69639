"""FSDP2 on the denoisers of a pipeline, which calls them outside the module that a trainer wraps.

Each denoiser is a unit of its own, so a call of the pipeline gathers its weights for as long as it
runs, and each of its repeated blocks is a unit within it. All processes must call and differentiate
the denoisers equally often: a call is a collective one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env
from torch import nn
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy
from transformers import TrainerCallback, TrainingArguments


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

    Types stay: mixed precision would round the LoRA weights on their way to where they are used.
    """
    plugin: Any = accelerator.state.fsdp_plugin
    plugin.mixed_precision_policy = None
    plugin.auto_wrap_policy = transformer_auto_wrap_policy
    plugin.transformer_cls_names_to_wrap = sorted(
        {name for model in denoisers.values() for name in _units(model)}
    )


def _units(model: nn.Module) -> set[str]:
    present = {type(module).__name__ for module in model.modules()}
    repeated: Any = getattr(model, "_repeated_blocks", None) or model._no_split_modules
    return {type(model).__name__, *(present & set(repeated or ()))}


class MakeRoot(TrainerCallback):
    """Lets FSDP2 see the wrapped module first, which the first module it sees is the root of."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Before any pipeline calls a denoiser."""
        kwargs["model"](lambda: None)

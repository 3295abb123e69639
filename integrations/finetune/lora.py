"""LoRA on a pipeline's denoisers: added, switched off for the reference, saved for diffusers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.loaders.lora_base import LoraBaseMixin
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

DENOISERS = ("transformer", "transformer_2", "unet")
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
WEIGHTS = "pytorch_lora_weights.safetensors"
SECOND = "transformer_2"  # Wan 2.2's other expert, which has a file of its own
SECOND_WEIGHTS = "transformer_2_lora_weights.safetensors"


def denoisers(pipe: Any) -> dict[str, nn.Module]:
    """{component: model} of what denoises in a pipeline: one model, or Wan 2.2's two experts.

    Raises:
        ValueError: the pipeline has none.
    """
    found = {name: getattr(pipe, name, None) for name in DENOISERS}
    models = {name: model for name, model in found.items() if isinstance(model, nn.Module)}
    if not models:
        raise ValueError(
            f"{type(pipe).__name__} has no {', '.join(DENOISERS)}; nothing there can be fine-tuned"
        )
    return models


def add_lora(
    pipe: Any,
    *,
    rank: int,
    alpha: float,
    targets: Sequence[str] = ATTENTION,
    seed: int,
    adapter: str = "default",
) -> dict[str, nn.Module]:
    """Freeze a pipeline and add LoRA to its denoisers; returns them as `denoisers` does.

    The adapter's weights are float32 whatever the model's type: updates of a few 1e-5 vanish in
    bfloat16. It starts as no change at all.

    Args:
        pipe: a diffusers video pipeline.
        rank: of the update.
        alpha: over rank it is the update's scale.
        targets: ends of the names of the linear layers that get one.
        seed: of the first factor; the second is zero.
        adapter: its name.

    Raises:
        ValueError: a model takes no adapters, or none of its layers is a target.
    """
    models = denoisers(pipe)
    for component in pipe.components.values():
        if isinstance(component, nn.Module):
            component.requires_grad_(False)
    config = LoraConfig(
        r=rank,
        lora_alpha=cast(int, alpha),
        target_modules=list(targets),
        init_lora_weights="gaussian",
    )
    for name, model in models.items():
        if not hasattr(model, "add_adapter"):
            raise ValueError(f"{type(model).__name__} takes no peft adapters")
        names = [key for key, _ in model.named_modules()]
        if not any(key == end or key.endswith(f".{end}") for key in names for end in targets):
            raise ValueError(
                f"no layer of {name} ends in {', '.join(targets)}; name its linear layers with "
                "lora_targets"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            cast(Any, model).add_adapter(config, adapter)
        cast_training_params(model, torch.float32)
    return models


@contextmanager
def without_lora(models: Mapping[str, nn.Module]) -> Iterator[None]:
    """The model that training began with, for the time of the context."""
    for model in models.values():
        model.disable_adapters()  # type: ignore[operator]
    try:
        yield
    finally:
        for model in models.values():
            model.enable_adapters()  # type: ignore[operator]


@contextmanager
def with_adapter(models: Mapping[str, nn.Module], adapter: str) -> Iterator[None]:
    """Another adapter in place of "default", for the time of the context."""
    for model in models.values():
        model.set_adapter(adapter)  # type: ignore[operator]
    try:
        yield
    finally:
        for model in models.values():
            model.set_adapter("default")  # type: ignore[operator]


def lora_state(model: nn.Module, adapter: str = "default") -> dict[str, Tensor]:
    """The adapter's weights under peft's names; where they are sharded, by all processes."""
    state = get_peft_model_state_dict(model, adapter_name=adapter)
    return {
        key: value.full_tensor() if isinstance(value, DTensor) else value
        for key, value in state.items()
    }


def set_lora_state(model: nn.Module, state: Mapping[str, Tensor], adapter: str = "default") -> None:
    """Set what `lora_state` gave; where the adapter is sharded, by all processes."""
    own = get_peft_model_state_dict(model, adapter_name=adapter)
    placed = {}
    for key, value in state.items():
        now = own[key]
        if isinstance(now, DTensor):
            value = distribute_tensor(value, now.device_mesh, now.placements)
        placed[key] = value
    set_peft_model_state_dict(model, placed, adapter_name=adapter)


def save_lora(
    pipe: Any, models: Mapping[str, nn.Module], folder: Path, *, write: bool = True
) -> None:
    """Write what `pipe.load_lora_weights(folder)` reads in a plain pipeline.

    Wan 2.2's second expert has a file that is loaded into it alone, under the adapter's name:
    `pipe.load_lora_weights(folder, weight_name="transformer_2_lora_weights.safetensors",
    load_into_transformer_2=True, adapter_name=...)`. A pipeline without LoRA methods of its own
    gets one folder a model, for
    `model.load_lora_adapter(folder / name, prefix=None, use_safetensors=True)`.

    Args:
        pipe: the pipeline.
        models: as `add_lora` gave them.
        folder: made if it is not there.
        write: whether this process does; where the weights are sharded, all have to call.
    """
    states = {
        name: {key: value.contiguous().cpu() for key, value in lora_state(model).items()}
        for name, model in models.items()
    }
    if not write:
        return
    folder.mkdir(parents=True, exist_ok=True)
    configs = {name: cast(Any, model).peft_config["default"] for name, model in models.items()}
    save = getattr(pipe, "save_lora_weights", None)
    if save is None:
        for name, state in states.items():
            LoraBaseMixin.write_lora_layers(
                state,
                str(folder / name),
                is_main_process=True,
                weight_name=WEIGHTS,
                save_function=cast(Any, None),  # safetensors' own
                safe_serialization=True,
                lora_adapter_metadata=configs[name].to_dict(),
            )
        return
    known = inspect.signature(save).parameters
    for name, state in states.items():
        file, own = (SECOND_WEIGHTS, "transformer") if name == SECOND else (WEIGHTS, name)
        arguments: dict[str, Any] = {f"{own}_lora_layers": state}
        if f"{own}_lora_adapter_metadata" in known:
            arguments[f"{own}_lora_adapter_metadata"] = configs[name].to_dict()
        save(folder, weight_name=file, **arguments)


def load_lora(models: Mapping[str, nn.Module], folder: Path) -> None:
    """Put saved weights back into the adapters that are there, to go on training.

    Raises:
        ValueError: the weights are of other layers or ranks.
    """
    for name, model in models.items():
        single = folder / name / WEIGHTS
        if single.exists():
            own = load_file(single)
        else:
            file, prefix = (SECOND_WEIGHTS, "transformer") if name == SECOND else (WEIGHTS, name)
            saved = load_file(folder / file)
            own = {key.removeprefix(f"{prefix}."): value for key, value in saved.items()
                   if key.startswith(f"{prefix}.")}  # fmt: skip
        expected = lora_state(model)
        shapes = {key: value.shape for key, value in own.items()}
        if shapes != {key: value.shape for key, value in expected.items()}:
            raise ValueError(
                f"{folder} holds LoRA weights of other layers or ranks than {name} has now; "
                "resume with the configuration that the run was begun with"
            )
        set_lora_state(model, own)

"""A pretended accelerator: its tensors compute on the CPU and refuse to meet those of the CPU.

What is true of every accelerator is true here: tensors of two devices do not mix, and memory of one
is not read as that of the other. As on Apple's there may be no float64.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

aten = torch.ops.aten
NAME = "elsewhere"
COPIES = {aten.copy_.default}
WITH_INDICES_ON_THE_CPU = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default}


class Elsewhere(Tensor):
    """A tensor of the pretended device; `raw` has its numbers."""

    raw: Tensor
    float64 = True

    @staticmethod
    def __new__(cls, raw: Tensor) -> Elsewhere:
        if raw.dtype == torch.float64 and not cls.float64:
            raise TypeError(f"{NAME} has no float64")
        made = Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=f"{NAME}:0",
        )
        made.raw = raw
        return made

    def tolist(self) -> Any:
        return self.raw.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class Device(TorchDispatchMode):
    """While it is on, tensors can be made on the device and moved to it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        flat, _ = tree_flatten((args, kwargs))
        named = [one for one in flat if isinstance(one, torch.device) and one.type == NAME]
        if named or any(isinstance(one, Elsewhere) for one in flat):
            return run(func, args, kwargs)
        return func(*args, **kwargs)


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on the CPU, its results on the device that they belong to."""
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    strangers = [one for one in tensors if not isinstance(one, Elsewhere) and one.ndim]
    here = len(strangers) < len(tensors) or not tensors
    allowed = COPIES | WITH_INDICES_ON_THE_CPU
    if strangers and here and func not in allowed:
        raise RuntimeError(f"{func} got tensors of {NAME} and of the CPU")
    device = kwargs.get("device")
    if device is not None:
        here = torch.device(device).type == NAME
        kwargs = {**kwargs, "device": torch.device("cpu")}
    if kwargs.get("pin_memory"):
        kwargs = {**kwargs, "pin_memory": False}
    raw_args, raw_kwargs = tree_map(_raw, (args, kwargs))
    out = func(*raw_args, **raw_kwargs)
    if func in COPIES:
        return args[0]
    if device is None and not here:
        return out
    wrapped = tree_map(lambda one: Elsewhere(one) if here and isinstance(one, Tensor) else one, out)
    if device is not None:
        return wrapped
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _raw(value: Any) -> Any:
    return value.raw if isinstance(value, Elsewhere) else value


class Backend(backend_registration._DummyBackendModule):
    """What torch asks of `torch.elsewhere`."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.zeros(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None:
        pass


def other_device(*, float64: bool = True) -> tuple[str, AbstractContextManager[Any]]:
    """The name of this machine's accelerator, and what it is used in; else the pretended one's.

    Before anything has gone backwards: torch counts devices then.

    Args:
        float64: whether the pretended one has it.
    """
    if torch.accelerator.is_available():
        found = torch.accelerator.current_accelerator()
        assert found is not None
        torch.backends.cudnn.allow_tf32 = False
        return found.type, nullcontext()
    set_up(float64=float64)
    return NAME, Device()


def set_up(*, float64: bool = True) -> None:
    """Tell torch of the device; it cannot be undone in this process.

    Args:
        float64: whether the device has it.
    """
    Elsewhere.float64 = float64
    backend_registration._setup_privateuseone_for_python_backend(NAME, Backend())
    # `torch.tensor(..., device=NAME)` is made on the CPU and then moved, which the mode sees.
    torch._C._set_only_lift_cpu_tensors(True)
    # `module.to` would change what a parameter says of itself and not its numbers.
    torch.__future__.set_overwrite_module_params_on_conversion(True)

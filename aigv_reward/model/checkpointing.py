"""Activation checkpointing of chosen layers, in training and in eval mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import save_on_cpu
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

_OPTIONS = ("preserve_rng_state", "determinism_check", "debug", "early_stop")


def checkpoint_layers(
    layers: Iterable[nn.Module], *, offload: bool = False, **options: Any
) -> None:
    """Recompute each layer in the backward pass.

    Rewards run in eval mode, where transformers' own switch does nothing, so the layer's
    `forward` is replaced on the instance. Parameters and state-dict keys stay as they are, and
    running statistics are updated once a pass.

    Args:
        layers: the modules to recompute; one that is checkpointed already is left alone.
        offload: keep what the recomputation starts from in host memory.
        options: of `torch.utils.checkpoint.checkpoint`.

    Raises:
        ValueError: an option is unknown, or `use_reentrant` is asked for, which would lose the
            gradients of keyword arguments and needs inputs that require grad.
    """
    if options.pop("use_reentrant", False):
        raise ValueError("use_reentrant=True is not supported; leave it out or pass False")
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise ValueError(f"unknown checkpointing options {unknown}; choose from {list(_OPTIONS)}")
    for layer in layers:
        if not is_checkpointed(layer):
            inner = vars(layer).get("forward")
            layer.forward = _Recomputed(layer, inner, offload, options)


def uncheckpoint_layers(layers: Iterable[nn.Module]) -> None:
    """Undo `checkpoint_layers`."""
    for layer in layers:
        wrapper = vars(layer).get("forward")
        if isinstance(wrapper, _Recomputed):
            if wrapper.inner is None:
                del layer.forward
            else:
                layer.forward = wrapper.inner


def is_checkpointed(layer: nn.Module) -> bool:
    """Whether `checkpoint_layers` holds for this layer."""
    return isinstance(vars(layer).get("forward"), _Recomputed)


class _Recomputed:
    """The forward of a layer, recomputed in the backward pass; an object, so that it copies."""

    def __init__(
        self,
        layer: nn.Module,
        inner: Callable[..., Any] | None,
        offload: bool,
        options: dict[str, Any],
    ) -> None:
        self.layer = layer
        self.inner = inner  # what stood on the instance before, e.g. a hook of accelerate
        self.offload = offload
        self.options = options

    def __call__(self, *args: Any, **named: Any) -> Any:
        forward = self.inner or partial(type(self.layer).forward, self.layer)
        if not torch.is_grad_enabled():
            return forward(*args, **named)
        with self._saving():
            return checkpoint(
                forward,
                *args,
                use_reentrant=False,
                context_fn=self._contexts,
                **self.options,
                **named,
            )

    def _saving(self) -> AbstractContextManager[Any]:
        return save_on_cpu(pin_memory=torch.cuda.is_available()) if self.offload else nullcontext()

    def _contexts(self) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        return nullcontext(), _keep_statistics(self.layer)


@contextmanager
def _keep_statistics(layer: nn.Module) -> Iterator[None]:
    """Batch norms normalise as before, without counting the same batch a second time."""
    norms = [module for module in layer.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, tracked) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, tracked

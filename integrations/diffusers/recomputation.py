"""Recomputation in the backward pass, switched on for the length of one call.

Modules get instance attributes and lose them again before a call ends. A function that is
recomputed must switch the recomputation of its own parts on inside itself: the backward pass runs
it again long after the surrounding code has cleaned up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from aigv_reward.integrations.diffusers.offloading import bring_to_device

recompute = partial(checkpoint, use_reentrant=False)
"""`recompute(function, *args, **kwargs)`: its graph is built again when gradients need it."""


@contextmanager
def attributes(module: nn.Module, **values: Any) -> Iterator[None]:
    """Sets attributes of this one module, and takes them back."""
    before = {name: module.__dict__[name] for name in values if name in module.__dict__}
    module.__dict__.update(values)
    try:
        yield
    finally:
        for name in values:
            del module.__dict__[name]
        module.__dict__.update(before)


@contextmanager
def recomputed_blocks(decoder: nn.Module) -> Iterator[None]:
    """Recomputes the blocks of a decoder that has gradient checkpointing of its own."""
    if not hasattr(decoder, "gradient_checkpointing"):
        yield
        return
    with attributes(decoder, gradient_checkpointing=True, _gradient_checkpointing_func=recompute):
        yield


@contextmanager
def recomputed_decoder(vae: Any) -> Iterator[None]:
    """Recomputes each call of `vae.decoder`, and within it each block."""
    decoder = vae.decoder
    plain = decoder.forward

    def blockwise(*args: Any, **kwargs: Any) -> Any:
        bring_to_device(vae)
        with recomputed_blocks(decoder):
            return plain(*args, **kwargs)

    with attributes(decoder, forward=partial(recompute, blockwise)):
        yield


@contextmanager
def recomputed_wan_layers(decoder: nn.Module) -> Iterator[None]:
    """Recomputes the residual and resampling layers of AutoencoderKLWan's decoder.

    It has no gradient checkpointing: its layers change a list of caches, of which each takes
    at most two in turn.
    """
    with ExitStack() as stack:
        for layer in decoder.modules():
            if type(layer).__name__ in ("WanResidualBlock", "WanResample"):
                stack.enter_context(attributes(layer, forward=_with_explicit_caches(layer.forward)))
        yield


def _with_explicit_caches(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, *caches: Any) -> tuple[Tensor, list[Any]]:
        own, taken = list(caches), [0]
        x = plain(x, feat_cache=own, feat_idx=taken)
        return x, own[: taken[0]]

    def forward(x: Tensor, feat_cache: list[Any], feat_idx: list[int]) -> Tensor:
        at = feat_idx[0]
        result, updated = recompute(run, x, *feat_cache[at : at + 2])
        feat_cache[at : at + len(updated)] = updated
        feat_idx[0] += len(updated)
        return result

    return forward

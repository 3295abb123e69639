"""Memory of a gradient through the decoder, the backward pass and its recomputation included."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aigv_reward.integrations.diffusers import decode_latents


class PeakBytes(TorchDispatchMode):
    """Counts the storages that operations make and that are alive at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.alive:
                    self.alive[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self.alive.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self.alive.values()))
        return result


def peak_of_a_gradient(pipe: Any, latents: torch.Tensor, **options: Any) -> int:
    with PeakBytes() as counted:
        torch.autograd.grad(decode_latents(pipe, latents, **options).sum(), latents)
    return counted.peak


@pytest.mark.parametrize("name", ["wan", "cogvideox"])
def test_carried_decoding_bounds_the_peak(tiny: Callable[[str], Any], name: str) -> None:
    pipe = tiny(name).pipe
    pipe.vae.requires_grad_(False)
    shape = (1, 16, 9, 4, 6) if name == "wan" else (1, 13, 4, 4, 6)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(3)).requires_grad_()
    plain = peak_of_a_gradient(pipe, latents, checkpoint=False)
    segments = peak_of_a_gradient(pipe, latents)
    window = peak_of_a_gradient(pipe, latents, window=slice(5, 7))
    assert window < segments < plain / 3

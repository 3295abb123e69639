"""The denoisers that learn, as the one module that a trainer wraps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn


class Policy(nn.Module):
    """Runs work that calls its denoisers through their pipeline.

    A launcher's wrappers (DistributedDataParallel, autocast) act on a module's forward. Here that
    is any function that ends in a loss, so gradients are synchronised although it is the pipeline
    that calls the denoisers. They stay in eval mode: a dropout would make the ratio of a policy to
    itself differ from 1.

    Args:
        denoisers: {component: model} of the pipeline.
    """

    def __init__(self, denoisers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.denoisers = nn.ModuleDict(dict(denoisers))
        self.eval()

    def forward(self, work: Callable[[], Any]) -> Any:
        """What `work` returns."""
        return work()

    def train(self, mode: bool = True) -> Policy:
        """Eval mode, whatever is asked for."""
        return super().train(False)

    def gradient_checkpointing_enable(self, **kwargs: Any) -> None:
        """Let each denoiser recompute its blocks in the backward pass."""
        for model in self.denoisers.values():
            model.enable_gradient_checkpointing()  # type: ignore[operator]

"""Noise that a scheduler draws, from the generators of a run's videos."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from aigv_reward.integrations.diffusers.sampling_run import subclassed


@contextmanager
def drawn_by(scheduler: Any, generators: Sequence[torch.Generator | None]) -> Iterator[None]:
    """Let every step's own noise come from these generators, until the context ends.

    Most flow pipelines step without a generator, and a scheduler with noise of its own then draws
    from torch's global one. TextToVideoSD hands one generator a video to a step of one row a frame.

    Args:
        scheduler: of the pipeline, or None where it has none; one whose step takes no generator
            stays as it is.
        generators: one a video, read at each step; the rows of a step are theirs in equal parts.
            Empty: the step gets what it was called with.
    """
    base = type(scheduler)
    signature = None if scheduler is None else inspect.signature(base.step)
    if signature is None or "generator" not in signature.parameters:
        yield
        return

    @functools.wraps(base.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        rows = len(bound.arguments["sample"])
        if self is scheduler and generators:
            each = rows // len(generators)
            bound.arguments["generator"] = [g for g in generators for _ in range(each)]
        return base.step(*bound.args, **bound.kwargs)

    with subclassed(scheduler, step=step):
        yield

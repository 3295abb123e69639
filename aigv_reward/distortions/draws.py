"""Scalars drawn from a torch generator."""

from collections.abc import Sequence

import torch
from torch import Generator


def uniform(low: float, high: float, generator: Generator) -> float:
    """A number between `low` and `high`, each as likely."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def integer(low: int, high: int, generator: Generator) -> int:
    """A whole number from `low` to `high`, both included, each as likely."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def choose(options: Sequence[str], generator: Generator) -> str:
    """One of the options, each as likely."""
    return options[integer(0, len(options) - 1, generator)]

"""How far a score rises when its own gradient moves the pixels within a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

Gradient = Literal["present", "zero", "none"]


@dataclass(frozen=True)
class Ascent:
    """What pixel ascent made of a clip.

    Attributes:
        before: the score of the clip as it was.
        after: the highest score on the way, `before` included.
        gradient: "none" where the score is not connected to the pixels, "zero" where the gradient
            vanished everywhere at the start; `after` is then `before`.
    """

    before: float
    after: float
    gradient: Gradient


def pixel_ascent(
    score: Callable[[Tensor], Tensor],
    frames: Tensor,
    *,
    epsilon: float,
    steps: int,
    step_size: float,
) -> Ascent:
    """Signed-gradient ascent from `frames`, projected into the budget and [0, 1] after each step.

    It starts at the clip itself and draws nothing at random.

    Args:
        score: frames like `frames` to a score without dimensions.
        frames: float in [0, 1].
        epsilon: most that any pixel may change (the L-infinity budget).
        steps: how many; each costs a forward and a backward pass, and the end a forward pass.
        step_size: change of every pixel with a gradient in one step.

    Raises:
        ValueError: a gradient that is not finite.

    References: Madry et al., "Towards deep learning models resistant to adversarial attacks"
        (arXiv 1706.06083), section 2.1.
    """
    origin = frames.detach()
    low, high = (origin - epsilon).clamp(min=0), (origin + epsilon).clamp(max=1)
    moved, values = origin, list[float]()
    for _ in range(steps):
        with torch.inference_mode(False), torch.enable_grad():
            leaf = moved.clone().requires_grad_()
            value = score(leaf)
            values.append(float(value.detach()))
            gradient = _gradient(value, leaf)
        if gradient is not None and not torch.isfinite(gradient).all():
            raise ValueError("the gradient to the pixels is not finite")
        if gradient is None or not gradient.any():
            if len(values) > 1:
                return Ascent(values[0], max(values), "present")
            return Ascent(values[0], values[0], "none" if gradient is None else "zero")
        step = gradient.sign() * step_size
        moved = torch.minimum(torch.maximum(moved + step, low), high)
    with torch.no_grad():
        values.append(float(score(moved)))
    return Ascent(values[0], max(values), "present")


def _gradient(value: Tensor, leaf: Tensor) -> Tensor | None:
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, leaf, allow_unused=True)[0]


def random_perturbation(frames: Tensor, *, epsilon: float, generator: Generator) -> Tensor:
    """Every pixel up or down by `epsilon` at random, clipped to [0, 1]: the ascent's control."""
    signs = torch.randint(2, frames.shape, generator=generator, dtype=torch.int8)
    return (frames + (2 * signs - 1).to(frames) * epsilon).clamp(0, 1)

"""Weights of particles in log space, and which of them go on."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Potential = Literal["difference", "max", "sum"]


class Potentials:
    """Log-weights of particles from the rewards of what they are about to become.

    With rewards r_1, .., r_t of a particle's lineage and strength l, the potential of look t is

        difference: l (r_t - r_{t-1}), with r_0 = 0
        max:        l max(r_1, .., r_t), of which the change since the last look counts
        sum:        l r_t, so that a lineage is judged by the sum of its rewards

    "difference" and "max" telescope: over a run they add up to l r_T and l max r, whatever was
    looked at.

    Args:
        count: particles.
        potential: which.
        strength: l, above 0; the larger, the greedier.

    Raises:
        ValueError: an unknown potential, or a strength that is not above 0.

    References: FK steering (arXiv 2501.06848), section 3.2; SMC for diffusion, DAS (2501.05803).
    """

    def __init__(self, count: int, *, potential: Potential, strength: float) -> None:
        if potential not in get_args(Potential):
            known = ", ".join(get_args(Potential))
            raise ValueError(f"unknown potential {potential!r}; choose {known}")
        if not 0 < strength < float("inf"):
            raise ValueError(f"strength is {strength}; it must be above 0")
        self.potential, self.strength = potential, strength
        self.log_weights = torch.zeros(count, dtype=torch.float64)
        self._known = torch.zeros(count, dtype=torch.float64)
        self._seen = False

    def add(self, rewards: Tensor) -> None:
        """Weigh the particles by the rewards (K,) of a look."""
        rewards = rewards.cpu().double()
        if self.potential == "sum":
            change = rewards
        elif self.potential == "difference":
            change, self._known = rewards - self._known, rewards
        else:
            highest = torch.maximum(rewards, self._known) if self._seen else rewards
            change, self._known = highest - self._known, highest
        self._seen = True
        self.log_weights = self.log_weights + self.strength * change

    def resampled(self, order: Tensor) -> None:
        """Particle i is a copy of what `order[i]` was, and all weigh the same again."""
        self._known = self._known[order]
        self.log_weights = torch.zeros_like(self.log_weights)


def effective_sample_size(log_weights: Tensor) -> float:
    """1 / sum w^2 of the normalised weights: K when all weigh the same, 1 when one has it all."""
    weights = log_weights.double().softmax(dim=0)
    return float(1 / weights.square().sum())


def systematic_resampling(log_weights: Tensor, generator: torch.Generator) -> Tensor:
    """(K,) int64, which particle each slot goes on from; one draw decides for all.

    A particle of weight w has floor(K w) or ceil(K w) copies, K w on average. Particles that stay
    keep their slot where they can.

    References: Douc, Cappé and Moulines (2005), section 2.4.
    """
    count = len(log_weights)
    edges = log_weights.double().softmax(dim=0).cumsum(dim=0)
    edges[-1] = 1.0
    start = torch.rand(1, generator=generator, dtype=torch.float64)
    points = (torch.arange(count, dtype=torch.float64) + start) / count
    drawn = torch.searchsorted(edges, points, right=True).clamp_max(count - 1)
    copies = torch.bincount(drawn, minlength=count)
    order = torch.full((count,), -1)
    stays = copies > 0
    order[stays] = torch.arange(count)[stays]
    copies[stays] -= 1
    order[order < 0] = torch.repeat_interleave(torch.arange(count), copies)
    return order

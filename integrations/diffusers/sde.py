"""Stochastic steps with a pipeline's own noise levels, and their log-probabilities.

Notation: x = (1 - s) x0 + s e for flow matching, s the noise level now and s' the one after, dt =
s' - s < 0, v = e - x0; for other schedules x = a x0 + s e with signal a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.step_formula import StepFormula

Kind = Literal["flow_sde", "dance_sde", "cps", "ddim"]
FROM_ONE = 4  # a longer step, in units of 1 - s, counts as one from s = 1


@dataclass(frozen=True)
class SdeStep:
    """The Gaussian that a stochastic step draws from.

    Attributes:
        mean: (B, ...) float32 or wider.
        std: its standard deviation; cps and ddim have 0 at the last step.
        normalised: whether `log_prob` is that of the Gaussian; without, minus the squared error.
    """

    mean: Tensor
    std: float
    normalised: bool = True

    def draw(self, noise: Tensor) -> Tensor:
        """Mean + std * noise."""
        return self.mean + self.std * noise.to(self.mean)

    def log_prob(self, sample: Tensor) -> Tensor:
        """(B,) log-density of a sample, as the MEAN over all other dimensions.

        A step without noise, and every step of CPS, has -(x' - mean)^2 instead.
        """
        error = (sample.to(self.mean) - self.mean).square()
        if self.normalised and self.std > 0:
            constant = math.log(self.std) + 0.5 * math.log(2 * math.pi)
            error = error / (2 * self.std**2) + constant
        return -error.flatten(1).mean(dim=1)


def stochastic_step(
    formula: StepFormula,
    sample: Tensor,
    clean: Tensor,
    *,
    kind: Kind,
    noise_level: float,
) -> SdeStep:
    """A scheduler's step with noise in it, whose marginals stay those of the schedule.

    flow_sde: std_t = a sqrt(s / (1 - s)), with s' in the denominator at s = 1 and so close below
        that the step is over four times as long as 1 - s (UniPC's first one; it would explode);
        mean = x (1 + std_t^2 dt / (2 s)) + v (1 + std_t^2 (1 - s) / (2 s)) dt, std = std_t
        sqrt(-dt).
    dance_sde: mean = x + v dt - eta^2 / 2 * score * dt with score = -(x - (1 - s) x0) / s^2, std =
        eta sqrt(-dt).
    cps: std = s' sin(a pi / 2), mean = a' x0 + sqrt(s'^2 - std^2) e; keeps the coefficients of
        signal and noise at any step size, and serves every schedule.
    ddim: std = eta (s' / s) sqrt(1 - (a / a')^2), mean as for cps: DDIM's own, for epsilon and v.

    Args:
        formula: of the step.
        sample: (B, ...) x.
        clean: (B, ...) x0 that the model predicts.
        kind: see above; the first two are for flow models.
        noise_level: a, or eta; 0 is the deterministic step.

    Raises:
        ValueError: an unknown kind, a noise level outside its range, or a kind for flow models on
            another schedule.

    References: Flow-GRPO (arXiv 2505.05470), equation 9; DanceGRPO (2505.07818), equation 4;
        coefficient-preserving sampling (2509.05952); DDIM (2010.02502), equation 16.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"unknown kind {kind!r}; choose {', '.join(get_args(Kind))}")
    if not 0 <= noise_level < math.inf or (kind in ("cps", "ddim") and noise_level > 1):
        limit = "in [0, 1]" if kind in ("cps", "ddim") else "0 or more"
        raise ValueError(f"noise_level is {noise_level}; for {kind} it is {limit}")
    if kind in ("flow_sde", "dance_sde") and formula.prediction != "flow":
        raise ValueError(f"{kind} is for flow models; use cps or ddim for {formula.prediction}")
    wide = torch.promote_types(clean.dtype, torch.float32)
    x, x0 = sample.to(wide), clean.to(wide)
    noise = formula.noise(x, x0)
    s, after = formula.now.noise, formula.after.noise
    if kind in ("flow_sde", "dance_sde"):
        return _flow_step(x, x0, noise, s, after, kind, noise_level)
    if kind == "cps":
        std = after * math.sin(noise_level * math.pi / 2)
    else:
        ratio = formula.now.signal / formula.after.signal
        std = noise_level * (after / s) * math.sqrt(max(1 - ratio**2, 0.0))
    left = math.sqrt(max(after**2 - std**2, 0.0))
    mean = formula.after.signal * x0 + left * noise
    return SdeStep(mean, std, normalised=kind != "cps")


def _flow_step(
    x: Tensor, x0: Tensor, noise: Tensor, s: float, after: float, kind: Kind, level: float
) -> SdeStep:
    dt, velocity = after - s, noise - x0
    if kind == "flow_sde":
        below = 1 - s if s - after <= FROM_ONE * (1 - s) else 1 - after
        spread = level * math.sqrt(s / below)
        mean = x * (1 + spread**2 / (2 * s) * dt)
        mean = mean + velocity * (1 + spread**2 * (1 - s) / (2 * s)) * dt
    else:
        spread = level
        score = -(x - (1 - s) * x0) / s**2
        mean = x + velocity * dt - 0.5 * level**2 * score * dt
    return SdeStep(mean, spread * math.sqrt(-dt))

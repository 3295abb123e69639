"""Stochastic steps, against hand-worked numbers, diffusers' own and their marginals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from aigv_reward.integrations.diffusers.sde import SdeStep, stochastic_step
from aigv_reward.integrations.diffusers.step_formula import (
    NoiseLevel,
    StepFormula,
    step_formula,
)

HALF = StepFormula("flow", NoiseLevel(0.5, 0.5), NoiseLevel(0.75, 0.25), 1.0, -0.5)
KINDS = ("flow_sde", "dance_sde", "cps", "ddim")


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_flow_sde_hand_worked() -> None:
    """s = 0.5, s' = 0.25, a = 0.5, x0 = 1, e = 3, so x = 2, v = 2, dt = -0.25, std_t^2 = 0.25.

    mean = 2 (1 - 0.25 * 0.25) + 2 (1 + 0.25 * 0.5) * -0.25 = 1.875 - 0.5625 = 1.3125; std = 0.25.
    """
    x, x0 = torch.full((1, 1), 2.0), torch.full((1, 1), 1.0)
    step = stochastic_step(HALF, x, x0, kind="flow_sde", noise_level=0.5)
    assert float(step.mean) == pytest.approx(1.3125) and step.std == pytest.approx(0.25)


def test_dance_sde_hand_worked() -> None:
    """Score = -(2 - 0.5) / 0.25 = -6; mean = 2 - 0.5 - 0.02 * -6 * -0.25 = 1.47; std = 0.1."""
    x, x0 = torch.full((1, 1), 2.0), torch.full((1, 1), 1.0)
    step = stochastic_step(HALF, x, x0, kind="dance_sde", noise_level=0.2)
    assert float(step.mean) == pytest.approx(1.47) and step.std == pytest.approx(0.1)


def test_cps_hand_worked() -> None:
    """a = 1/3: std = 0.25 / 2; mean = 0.75 + sqrt(0.0625 - 0.015625) * 3."""
    x, x0 = torch.full((1, 1), 2.0), torch.full((1, 1), 1.0)
    step = stochastic_step(HALF, x, x0, kind="cps", noise_level=1 / 3)
    assert step.std == pytest.approx(0.125)
    assert float(step.mean) == pytest.approx(0.75 + math.sqrt(0.046875) * 3)
    assert float(step.log_prob(step.mean + 0.5)) == pytest.approx(-0.25)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_it_is_the_schedulers_own_step(kind: Any, inverted: bool) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(invert_sigmas=inverted, shift=3.0)
    scheduler.set_timesteps(5)
    x = drawn(0, 2, 3, 4)
    for number, timestep in enumerate(scheduler.timesteps):
        output = drawn(number + 1, 2, 3, 4)
        formula = step_formula(scheduler, timestep)
        step = stochastic_step(formula, x, formula.clean(x, output), kind=kind, noise_level=0.0)
        made = scheduler.step(output, timestep, x).prev_sample
        torch.testing.assert_close(step.mean, made, rtol=1e-4, atol=1e-5)
        assert step.std == 0
        x = made


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_ddim_is_diffusers_own(eta: float, prediction: str) -> None:
    scheduler = DDIMScheduler(clip_sample=False, prediction_type=prediction)
    scheduler.set_timesteps(6)
    x, noise = drawn(0, 2, 3, 4), drawn(9, 2, 3, 4)
    for timestep in scheduler.timesteps[:-1]:
        output = drawn(int(timestep), 2, 3, 4)
        formula = step_formula(scheduler, timestep)
        step = stochastic_step(formula, x, formula.clean(x, output), kind="ddim", noise_level=eta)
        made = scheduler.step(output, timestep, x, eta=eta, variance_noise=noise).prev_sample
        torch.testing.assert_close(step.draw(noise), made, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind, level", [("flow_sde", 0.7), ("dance_sde", 0.3), ("cps", 0.6)])
def test_marginals_are_those_of_the_schedule(kind: Any, level: float) -> None:
    """Gaussian data of deviation 2 with its exact x0, in small steps."""
    generator = torch.Generator().manual_seed(0)
    data = 2.0
    sigmas = torch.linspace(0.9, 0.1, 200).tolist()
    s = sigmas[0]
    x = math.sqrt(((1 - s) * data) ** 2 + s**2) * torch.randn(20000, 1, generator=generator)
    for s, after in zip(sigmas[:-1], sigmas[1:], strict=True):  # noqa: RUF007
        variance = ((1 - s) * data) ** 2 + s**2
        x0 = (1 - s) * data**2 / variance * x
        formula = StepFormula("flow", NoiseLevel(1 - s, s), NoiseLevel(1 - after, after), 1.0, -s)
        step = stochastic_step(formula, x, x0, kind=kind, noise_level=level)
        x = step.draw(torch.randn(x.shape, generator=generator))
    expected = math.sqrt(((1 - 0.1) * data) ** 2 + 0.1**2)
    if kind != "cps":  # keeps them where x0 is known exactly, which a posterior mean is not
        assert float(x.std()) == pytest.approx(expected, rel=0.03)
    formula = StepFormula("flow", NoiseLevel(0.4, 0.6), NoiseLevel(0.7, 0.3), 1.0, -0.6)
    clean, noise = data * torch.randn(50000, 1, generator=generator), torch.randn(50000, 1)
    step = stochastic_step(formula, 0.4 * clean + 0.6 * noise, clean, kind="cps", noise_level=level)
    made = step.draw(torch.randn(50000, 1, generator=generator))
    assert float((made - 0.7 * clean).std()) == pytest.approx(0.3, rel=0.02)


def test_first_and_last_steps() -> None:
    first = StepFormula("flow", NoiseLevel(0.0, 1.0), NoiseLevel(0.25, 0.75), 1.0, -1.0)
    step = stochastic_step(first, drawn(0, 1, 4), drawn(1, 1, 4), kind="flow_sde", noise_level=0.5)
    assert step.std == pytest.approx(0.5 * math.sqrt(1 / 0.25) * 0.5)
    last = StepFormula("flow", NoiseLevel(0.5, 0.5), NoiseLevel(1.0, 0.0), 1.0, -0.5)
    for kind in ("cps", "ddim"):
        step = stochastic_step(last, drawn(0, 1, 4), drawn(1, 1, 4), kind=kind, noise_level=1.0)
        assert step.std == 0
        torch.testing.assert_close(step.mean, drawn(1, 1, 4))


def test_a_step_from_just_below_one_is_that_from_one() -> None:
    """UniPC's first sigma is about 1 - 1e-6: 1 - s in the denominator would give a std of 200."""
    x, x0 = drawn(0, 1, 4), drawn(1, 1, 4)
    steps = [
        stochastic_step(
            StepFormula("flow", NoiseLevel(1 - s, s), NoiseLevel(0.25, 0.75), 1.0, -s),
            x, (1 - s) * x0, kind="flow_sde", noise_level=0.5,
        )
        for s in (1.0, 1 - 1e-6, 1 - 3e-4)
    ]  # fmt: skip
    for step in steps:
        assert step.std == pytest.approx(0.5, rel=1e-3)
        torch.testing.assert_close(step.mean, steps[0].mean, rtol=0, atol=1e-3)


def test_log_probability_is_the_mean_of_the_normal_density() -> None:
    step = SdeStep(drawn(0, 2, 3, 4), 0.3)
    sample = drawn(1, 2, 3, 4)
    known = torch.distributions.Normal(step.mean, step.std).log_prob(sample).flatten(1).mean(1)
    torch.testing.assert_close(step.log_prob(sample), known)
    torch.testing.assert_close(step.draw(torch.ones(2, 3, 4)), step.mean + 0.3)
    without = SdeStep(step.mean, 0.0)
    torch.testing.assert_close(
        without.log_prob(sample), -(sample - step.mean).square().flatten(1).mean(1)
    )


def test_what_is_refused() -> None:
    x = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="unknown kind 'ode'; choose flow_sde, dance_sde"):
        stochastic_step(HALF, x, x, kind="ode", noise_level=0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"noise_level is 1\.5; for cps it is in \[0, 1\]"):
        stochastic_step(HALF, x, x, kind="cps", noise_level=1.5)
    with pytest.raises(ValueError, match=r"noise_level is -1\.0; for flow_sde it is 0 or more"):
        stochastic_step(HALF, x, x, kind="flow_sde", noise_level=-1.0)
    other = StepFormula("epsilon", NoiseLevel(0.5, 0.8), NoiseLevel(0.9, 0.3), 2.0, -1.6)
    with pytest.raises(ValueError, match="dance_sde is for flow models; use cps or ddim"):
        stochastic_step(other, x, x, kind="dance_sde", noise_level=0.1)

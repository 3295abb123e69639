"""The forward process against diffusers' own add_noise, get_velocity and scale_noise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from aigv_reward.integrations.diffusers.step_formula import step_formula
from aigv_reward.integrations.finetune.flow_noise import forward_process, sample_noise_levels

CLEAN = torch.randn(3, 4, 2, 5, 5, generator=torch.Generator().manual_seed(0)).double()
NOISE = torch.randn(3, 4, 2, 5, 5, generator=torch.Generator().manual_seed(1)).double()
LEVELS = torch.tensor([0.25, 0.5, 1.0], dtype=torch.float64)


def test_flow_by_hand() -> None:
    """x0 = 2, e = 6 at s = 0.25: x = 3, v = 4, x0 = 3 - 0.25 * 4."""
    process = forward_process(FlowMatchEulerDiscreteScheduler())
    found = process.add_noise(torch.full((1, 1), 2.0), torch.full((1, 1), 6.0), LEVELS[:1])
    assert found.latents.item() == 3.0 and found.target.item() == 4.0
    assert found.timestep.tolist() == [250.0]
    assert found.clean(torch.full((1, 1), 4.0)).item() == 2.0


def test_inverted_flow_by_hand() -> None:
    """Mochi at a noise of 0.25: the same x at timestep 750, and v = x0 - e."""
    process = forward_process(FlowMatchEulerDiscreteScheduler(invert_sigmas=True))
    found = process.add_noise(torch.full((1, 1), 2.0), torch.full((1, 1), 6.0), LEVELS[:1])
    assert found.latents.item() == 3.0 and found.target.item() == -4.0
    assert found.timestep.tolist() == [750.0]
    assert found.clean(torch.full((1, 1), -4.0)).item() == 2.0


@pytest.mark.parametrize("invert", [False, True])
def test_flow_agrees_with_the_steps_of_sampling(invert: bool) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, invert_sigmas=invert)
    scheduler.set_timesteps(5)
    process = forward_process(scheduler)
    for index, timestep in enumerate(scheduler.timesteps):
        level = 1 - scheduler.sigmas[index] if invert else scheduler.sigmas[index]
        found = process.add_noise(CLEAN, NOISE, level.double().expand(3))
        torch.testing.assert_close(found.timestep, timestep.expand(3), rtol=0, atol=1e-3)
        formula = step_formula(scheduler, timestep)
        torch.testing.assert_close(
            formula.clean(found.latents, found.target), CLEAN, rtol=1e-5, atol=1e-5
        )
        assert found.from_output[0].item() == pytest.approx(formula.from_output, abs=1e-6)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_variance_preserving_agrees_with_diffusers(prediction: str) -> None:
    scheduler = DDIMScheduler(prediction_type=prediction, clip_sample=False)
    found = forward_process(scheduler).add_noise(CLEAN, NOISE, LEVELS)
    assert found.timestep.tolist() == [250, 500, 999]
    noisy = scheduler.add_noise(CLEAN, NOISE, found.timestep)
    torch.testing.assert_close(found.latents, noisy, rtol=1e-6, atol=1e-6)
    velocity = scheduler.get_velocity(CLEAN, NOISE, found.timestep)
    target = {"epsilon": NOISE, "v_prediction": velocity, "sample": CLEAN}[prediction]
    torch.testing.assert_close(found.target, target, rtol=1e-6, atol=1e-6)


def test_uni_pc_flow_keeps_whole_timesteps() -> None:
    """Its schedule holds integers, so the noise level is that of the integer."""
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True)
    levels = torch.tensor([0.2504, 0.00001, 1.0], dtype=torch.float64)
    found = forward_process(scheduler).add_noise(CLEAN, NOISE, levels)
    assert found.timestep.tolist() == [250, 1, 1000] and found.timestep.dtype == torch.int64
    torch.testing.assert_close(found.latents[0], 0.75 * CLEAN[0] + 0.25 * NOISE[0])


@pytest.mark.parametrize(
    "scheduler",
    [
        FlowMatchEulerDiscreteScheduler(),
        FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
        UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
        DDIMScheduler(),
        DDIMScheduler(prediction_type="sample"),
        DPMSolverMultistepScheduler(prediction_type="v_prediction"),
        CogVideoXDDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True),
    ],
)
def test_the_target_stands_for_the_clean_latents(scheduler: Any) -> None:
    found = forward_process(scheduler).add_noise(CLEAN, NOISE, LEVELS)
    torch.testing.assert_close(found.clean(found.target), CLEAN, rtol=1e-6, atol=1e-6)
    alone = forward_process(scheduler).add_noise(CLEAN[1:2], NOISE[1:2], LEVELS[1:2])
    assert torch.equal(alone.latents[0], found.latents[1])


def test_half_precision_latents_and_float32_target() -> None:
    process = forward_process(FlowMatchEulerDiscreteScheduler())
    found = process.add_noise(CLEAN.bfloat16(), NOISE.bfloat16(), LEVELS)
    assert found.latents.dtype == torch.bfloat16 and found.target.dtype == torch.float32
    assert found.clean(found.target).dtype == torch.float32


def levels_of(seed: int = 0, count: int = 4000, **options: Any) -> torch.Tensor:
    return sample_noise_levels(count, generator=torch.Generator().manual_seed(seed), **options)


def test_uniform_levels() -> None:
    found = levels_of()
    assert found.min() > 0 and found.max() <= 1
    assert float(found.mean()) == pytest.approx(0.5, abs=0.02)
    assert float((found < 0.1).double().mean()) == pytest.approx(0.1, abs=0.02)
    assert torch.equal(found, levels_of()) and not torch.equal(found, levels_of(seed=1))


def test_logit_normal_levels() -> None:
    """sigmoid of a standard normal: half lie under 0.5, 68.3 % within sigmoid(-+1)."""
    found = levels_of(density="logit_normal")
    one = torch.tensor(1.0, dtype=torch.float64).sigmoid()
    assert float((found < 0.5).double().mean()) == pytest.approx(0.5, abs=0.02)
    within = ((found > 1 - one) & (found < one)).double().mean()
    assert float(within) == pytest.approx(0.683, abs=0.02)


def test_the_shift_is_the_schedulers_own() -> None:
    plain = levels_of(count=50)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=5.0)
    scheduler.set_timesteps(sigmas=plain.tolist())
    torch.testing.assert_close(levels_of(count=50, shift=5.0).float(), scheduler.sigmas[:-1])


def test_limits() -> None:
    for density in ("uniform", "logit_normal"):
        found = levels_of(density=density, low=0.2, high=0.6)
        assert found.min() > 0.2 and found.max() <= 0.6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": "cosine"}, "density is 'cosine'; choose from uniform, logit_normal"),
        ({"shift": 0.0}, "shift is 0.0; it must be above 0"),
        ({"low": 0.5, "high": 0.5}, "low is 0.5 and high 0.5; they must be 0 <= low < high <= 1"),
    ],
)
def test_errors_of_levels(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        levels_of(**change)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        (EulerDiscreteScheduler(), "EulerDiscreteScheduler is not known here, or scales its mod"),
        (
            DPMSolverMultistepScheduler(prediction_type="other"),
            "prediction_type 'other' is not known here; choose epsilon, v_prediction or sample",
        ),
    ],
)
def test_errors_of_schedulers(scheduler: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forward_process(scheduler)


@pytest.mark.parametrize(
    ("noise", "levels", "message"),
    [
        (NOISE[:2], LEVELS, r"noise has shape \(2, 4, 2, 5, 5\) and clean \(3, 4, 2, 5, 5\)"),
        (NOISE, LEVELS[:1], r"levels has shape \(1,\); it must be \(3,\)"),
        (NOISE, LEVELS - 0.25, r"levels are \[0.0, 0.25, 0.75\]; noise levels lie in \(0, 1\]"),
    ],
)
def test_errors_of_noise(noise: torch.Tensor, levels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forward_process(DDIMScheduler()).add_noise(CLEAN, noise, levels)

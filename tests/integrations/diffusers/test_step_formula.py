"""x0 from a scheduler's step, against what the schedulers themselves say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from aigv_reward.integrations.diffusers.step_formula import step_formula

STEPS = 5
VP = [DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler]
MULTISTEP = [UniPCMultistepScheduler, DPMSolverMultistepScheduler]


def drawn(seed: int, shape: tuple[int, ...] = (2, 4, 3, 5, 5)) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def prepared(cls: Any, **config: Any) -> Any:
    if cls in (DDIMScheduler, DDPMScheduler):
        config |= {"clip_sample": False}
    scheduler = cls(**config)
    scheduler.set_timesteps(STEPS)
    return scheduler


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("cls", VP)
def test_clean_latents_are_the_schedulers_own(cls: Any, prediction: str) -> None:
    if cls is EulerAncestralDiscreteScheduler and prediction == "sample":
        prediction = "epsilon"  # it has no other
    scheduler = prepared(cls, prediction_type=prediction)
    sample = drawn(0)
    for number, timestep in enumerate(scheduler.timesteps):
        output = drawn(number + 1)
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(sample, timestep)
        formula = step_formula(scheduler, timestep)
        known = formula.clean(sample, output)
        noise = {} if cls is DDIMScheduler else {"generator": torch.Generator().manual_seed(0)}
        made = scheduler.step(output, timestep, sample, **noise)
        torch.testing.assert_close(known, made.pred_original_sample, rtol=1e-4, atol=1e-4)
        sample = made.prev_sample


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample", "flow_prediction"])
@pytest.mark.parametrize("cls", MULTISTEP)
def test_clean_latents_are_what_a_multistep_solver_remembers(cls: Any, prediction: str) -> None:
    flow = prediction == "flow_prediction"
    scheduler = prepared(cls, prediction_type=prediction, use_flow_sigmas=flow)
    sample = drawn(0)
    for number, timestep in enumerate(scheduler.timesteps):
        output = drawn(number + 1)
        known = step_formula(scheduler, timestep).clean(sample, output)
        sample = scheduler.step(output, timestep, sample).prev_sample
        torch.testing.assert_close(known, scheduler.model_outputs[-1], rtol=1e-4, atol=1e-4)


def test_clean_latents_of_cogvideox() -> None:
    for prediction in ("epsilon", "v_prediction", "sample"):
        scheduler = prepared(CogVideoXDDIMScheduler, prediction_type=prediction)
        solver = prepared(CogVideoXDPMScheduler, prediction_type=prediction)
        for timestep in scheduler.timesteps:
            known = step_formula(scheduler, timestep).clean(drawn(0), drawn(1))
            made = scheduler.step(drawn(1), timestep, drawn(0)).pred_original_sample
            torch.testing.assert_close(known, made, rtol=1e-5, atol=1e-5)
            assert step_formula(solver, timestep) == step_formula(scheduler, timestep)


@pytest.mark.parametrize("inverted", [False, True])
def test_flow_steps_straight_to_the_clean_latents(inverted: bool) -> None:
    """A single Euler step from sigma to the end of the schedule lands on x0."""
    scheduler = prepared(FlowMatchEulerDiscreteScheduler, invert_sigmas=inverted)
    timestep = scheduler.timesteps[-1]
    formula = step_formula(scheduler, timestep)
    made = scheduler.step(drawn(1), timestep, drawn(0)).prev_sample
    torch.testing.assert_close(formula.clean(drawn(0), drawn(1)), made, rtol=1e-6, atol=1e-6)
    assert (formula.after.signal, formula.after.noise) == (1.0, 0.0)
    assert formula.velocity_sign == (-1 if inverted else 1)


def test_flow_hand_worked() -> None:
    """x0 = 2 and e = -1 at sigma 1/4: x = 1.25, v = e - x0 = -3, x0 = 1.25 + 3/4."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=[1.0, 0.25])
    formula = step_formula(scheduler, scheduler.timesteps[1])
    sample, velocity = torch.tensor([1.25]), torch.tensor([-3.0])
    clean = formula.clean(sample, velocity)
    assert clean.tolist() == [2.0]
    assert formula.noise(sample, clean).tolist() == [-1.0]
    assert (formula.now.signal, formula.now.noise) == (0.75, 0.25)


@pytest.mark.parametrize("cls", [*VP, LCMScheduler, *MULTISTEP, CogVideoXDPMScheduler])
def test_levels_join_from_step_to_step_and_outputs_invert(cls: Any) -> None:
    scheduler = prepared(cls)
    if cls is LCMScheduler:
        scheduler = LCMScheduler(clip_sample=False)
        scheduler.set_timesteps(STEPS)
    before = None
    for number, timestep in enumerate(scheduler.timesteps):
        if hasattr(scheduler, "_step_index"):
            scheduler._step_index = number
        formula = step_formula(scheduler, timestep)
        if before is not None:
            assert formula.now.noise == pytest.approx(before.after.noise, abs=1e-6)
        back = formula.output(drawn(0), formula.clean(drawn(0), drawn(1)))
        torch.testing.assert_close(back, drawn(1), rtol=1e-3, atol=1e-3)
        before = formula
    assert before is not None and before.after.noise == pytest.approx(0, abs=0.06)


def test_half_precision_is_widened() -> None:
    scheduler = prepared(FlowMatchEulerDiscreteScheduler)
    formula = step_formula(scheduler, scheduler.timesteps[0])
    clean = formula.clean(drawn(0).bfloat16(), drawn(1).bfloat16())
    assert clean.dtype == torch.float32


def test_what_is_refused() -> None:
    shifted = FlowMatchEulerDiscreteScheduler()
    shifted.set_timesteps(STEPS)
    shifted.sigmas[-1] = 0.3
    with pytest.raises(ValueError, match=r"ends at sigma 0\.3; clean latents are known where"):
        step_formula(shifted, shifted.timesteps[0])
    heun = prepared(FlowMatchHeunDiscreteScheduler)
    with pytest.raises(ValueError, match="evaluates the model 2 times a step"):
        step_formula(heun, heun.timesteps[0])
    clipped = DDIMScheduler(clip_sample=True)
    clipped.set_timesteps(STEPS)
    with pytest.raises(ValueError, match=r"clip_sample=True, which cuts .* load it with"):
        step_formula(clipped, clipped.timesteps[0])
    edm = prepared(EDMEulerScheduler)
    with pytest.raises(ValueError, match="EDMEulerScheduler is not known here; use one of"):
        step_formula(edm, edm.timesteps[0])
    old = prepared(
        DPMSolverMultistepScheduler, algorithm_type="sde-dpmsolver", final_sigmas_type="sigma_min"
    )
    with pytest.raises(ValueError, match="algorithm_type='sde-dpmsolver', which keeps no clean"):
        step_formula(old, old.timesteps[0])
    ddim = prepared(DDIMScheduler)
    ddim.register_to_config(prediction_type="other")
    with pytest.raises(ValueError, match="prediction_type 'other' is not known here"):
        step_formula(ddim, ddim.timesteps[0])
    euler = prepared(EulerDiscreteScheduler)
    with pytest.raises(ValueError, match=r"timestep 3\.5 is not one of the scheduler's 5"):
        step_formula(euler, 3.5)

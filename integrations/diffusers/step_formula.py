"""What a scheduler's step says about the clean latents: x0 as an affine function of its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Prediction = Literal["flow", "epsilon", "v_prediction", "sample"]

FLOW = (
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "LTXEulerAncestralRFScheduler",
)
VARIANCE_EXPLODING = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
MULTISTEP = ("UniPCMultistepScheduler", "DPMSolverMultistepScheduler", "DEISMultistepScheduler")
COGVIDEOX = ("CogVideoXDDIMScheduler", "CogVideoXDPMScheduler")  # ignore clip_sample
BY_ALPHAS = (
    *COGVIDEOX,
    "DDIMScheduler",
    "DDPMScheduler",
    "LCMScheduler",
)
ENDS = 1e-3  # how far a flow schedule's last sigma may lie from 0 or 1


@dataclass(frozen=True)
class NoiseLevel:
    """Noisy latents as x = signal * x0 + noise * e with standard normal e."""

    signal: float
    noise: float


@dataclass(frozen=True)
class StepFormula:
    """One step of a scheduler, with x0 = from_sample * x + from_output * model_output.

    Attributes:
        prediction: what the model puts out.
        now: noise of the step's input.
        after: noise of its output.
        from_sample: weight of the noisy latents in x0.
        from_output: weight of the model's output in x0, never 0.
        velocity_sign: 1 where a flow model predicts e - x0; -1 where it predicts x0 - e (Mochi).
    """

    prediction: Prediction
    now: NoiseLevel
    after: NoiseLevel
    from_sample: float
    from_output: float
    velocity_sign: int = 1

    def clean(self, sample: Tensor, model_output: Tensor) -> Tensor:
        """x0, the clean latents that the model's output stands for, in float32 or wider."""
        wide = torch.promote_types(model_output.dtype, torch.float32)
        return self.from_sample * sample.to(wide) + self.from_output * model_output.to(wide)

    def output(self, sample: Tensor, clean: Tensor) -> Tensor:
        """The model output that stands for these clean latents: the inverse of `clean`."""
        return (clean - self.from_sample * sample.to(clean.dtype)) / self.from_output

    def noise(self, sample: Tensor, clean: Tensor) -> Tensor:
        """e, the noise that is left when the clean latents are taken away."""
        return (sample.to(clean.dtype) - self.now.signal * clean) / self.now.noise


def step_formula(scheduler: Any, timestep: Any) -> StepFormula:
    """The formula of the step that a scheduler is about to take.

    Args:
        scheduler: a diffusers scheduler after `set_timesteps`.
        timestep: that its `step` is called with.

    Raises:
        ValueError: a scheduler whose steps are not affine in the model's output or not known here,
            or a flow schedule that ends at neither 0 nor 1.
    """
    name = type(scheduler).__name__
    config = scheduler.config
    if getattr(scheduler, "order", 1) != 1:
        raise ValueError(
            f"{name} evaluates the model {scheduler.order} times a step; use a scheduler of order 1"
        )
    for option in ("thresholding", "clip_sample"):
        if config.get(option, False) and name not in COGVIDEOX:
            raise ValueError(
                f"{name} has {option}=True, which cuts the predicted clean latents; "
                f"load it with {option}=False"
            )
    if config.get("algorithm_type", "dpmsolver++") not in ("dpmsolver++", "sde-dpmsolver++"):
        raise ValueError(
            f"{name} has algorithm_type={config['algorithm_type']!r}, which keeps no clean "
            "latents; use 'dpmsolver++' or 'sde-dpmsolver++'"
        )
    prediction = config.get("prediction_type", "epsilon")
    if name in FLOW or prediction == "flow_prediction":
        return _flow(scheduler, timestep)
    if name in VARIANCE_EXPLODING:
        sigma, following = _sigmas(scheduler, timestep)
        return _formula(prediction, _exploding(sigma), _exploding(following), sigma)
    if name in MULTISTEP:
        now, after = (
            NoiseLevel(1 / (1 + s * s) ** 0.5, s / (1 + s * s) ** 0.5)
            for s in _sigmas(scheduler, timestep)
        )
        return _formula(prediction, now, after)
    if name in BY_ALPHAS:
        return _formula(prediction, *_by_alphas(scheduler, timestep))
    known = ", ".join((*FLOW, *VARIANCE_EXPLODING, *MULTISTEP, *BY_ALPHAS))
    raise ValueError(f"{name} is not known here; use one of {known}")


def position(scheduler: Any, timestep: Any) -> int:
    """Which of `scheduler.timesteps` a step is at."""
    if getattr(scheduler, "step_index", None) is not None:
        return int(scheduler.step_index)
    if getattr(scheduler, "begin_index", None) is not None:
        return int(scheduler.begin_index)
    wanted = torch.as_tensor(timestep, device=scheduler.timesteps.device).flatten()[0]
    found = (scheduler.timesteps == wanted).nonzero()
    if len(found) == 0:
        raise ValueError(
            f"timestep {float(wanted)} is not one of the scheduler's {len(scheduler.timesteps)}"
        )
    return int(found[0])


def _sigmas(scheduler: Any, timestep: Any) -> tuple[float, float]:
    """The step's own sigma and the next one."""
    index = position(scheduler, timestep)
    return float(scheduler.sigmas[index]), float(scheduler.sigmas[index + 1])


def _flow(scheduler: Any, timestep: Any) -> StepFormula:
    sigma, following = _sigmas(scheduler, timestep)
    end = float(scheduler.sigmas[-1])
    if abs(end) < ENDS:
        now, after = NoiseLevel(1 - sigma, sigma), NoiseLevel(1 - following, following)
        return StepFormula("flow", now, after, 1.0, -sigma)
    if abs(end - 1) < ENDS:
        now, after = NoiseLevel(sigma, 1 - sigma), NoiseLevel(following, 1 - following)
        return StepFormula("flow", now, after, 1.0, 1 - sigma, velocity_sign=-1)
    raise ValueError(
        f"the flow schedule of {type(scheduler).__name__} ends at sigma {end:.3g}; clean latents "
        "are known where it ends at 0, or at 1 for inverted sigmas"
    )


def _exploding(sigma: float) -> NoiseLevel:
    return NoiseLevel(1.0, sigma)


def _formula(
    prediction: str, now: NoiseLevel, after: NoiseLevel, sigma: float | None = None
) -> StepFormula:
    """From the noise levels; `sigma` where the scheduler's latents are x0 + sigma * e."""
    signal, noise = now.signal, now.noise
    if prediction == "epsilon":
        return StepFormula("epsilon", now, after, 1 / signal, -noise / signal)
    if prediction == "v_prediction" and sigma is None:
        return StepFormula("v_prediction", now, after, signal, -noise)
    if prediction == "v_prediction" and sigma is not None:
        scale = 1 + sigma * sigma
        return StepFormula("v_prediction", now, after, 1 / scale, -sigma / scale**0.5)
    if prediction == "sample":
        return StepFormula("sample", now, after, 0.0, 1.0)
    raise ValueError(
        f"prediction_type {prediction!r} is not known here; choose epsilon, v_prediction, sample "
        "or flow_prediction"
    )


def _by_alphas(scheduler: Any, timestep: Any) -> tuple[NoiseLevel, NoiseLevel]:
    """Noise now and after, read off the cumulative alphas."""
    time = int(torch.as_tensor(timestep).flatten()[0])
    if type(scheduler).__name__ in ("DDIMScheduler", *COGVIDEOX):
        before = time - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    else:
        index = position(scheduler, timestep)
        later = scheduler.timesteps[index + 1 : index + 2]
        before = int(later[0]) if len(later) else -1
    last = getattr(scheduler, "final_alpha_cumprod", torch.tensor(1.0))
    products = (
        scheduler.alphas_cumprod[time],
        scheduler.alphas_cumprod[before] if before >= 0 else last,
    )
    now, after = (
        NoiseLevel(float(product) ** 0.5, float(1 - product) ** 0.5) for product in products
    )
    return now, after

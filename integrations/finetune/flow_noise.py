"""The forward process that a pipeline's denoiser was trained on: noisy latents and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.step_formula import (
    BY_ALPHAS,
    FLOW,
    MULTISTEP,
    Prediction,
)

Density = Literal["uniform", "logit_normal"]


@dataclass(frozen=True)
class Noised:
    """Noisy latents of a batch, each at its own noise level: x = signal * x0 + noise * e.

    Attributes:
        latents: (B, ...) x, in the dtype of the clean ones.
        target: (B, ...) what the denoiser should put out.
        timestep: (B,) on the scale of the scheduler's timesteps.
        from_sample: (B,) weight of x in x0 = from_sample * x + from_output * output.
        from_output: (B,) weight of the denoiser's output in it.
    """

    latents: Tensor
    target: Tensor
    timestep: Tensor
    from_sample: Tensor
    from_output: Tensor

    def clean(self, output: Tensor) -> Tensor:
        """x0, the clean latents that the denoiser's output stands for, in float32 or wider."""
        wide = torch.promote_types(output.dtype, torch.float32)
        sample = _like(self.from_sample, output).to(wide) * self.latents.to(wide)
        return sample + _like(self.from_output, output).to(wide) * output.to(wide)


@dataclass(frozen=True)
class ForwardProcess:
    """How a scheduler's model family adds noise.

    Attributes:
        prediction: what the denoiser puts out.
        train_timesteps: the timestep of noise level 1.
        alphas_cumprod: (train_timesteps,) squared signal at each timestep; None for flow matching.
        velocity_sign: 1 where a flow model predicts e - x0; -1 where it predicts x0 - e and its
            timesteps rise as the noise falls (Mochi).
        whole_timesteps: whether timesteps are whole numbers; noise levels are rounded to them.
    """

    prediction: Prediction
    train_timesteps: int
    alphas_cumprod: Tensor | None = None
    velocity_sign: int = 1
    whole_timesteps: bool = False

    def add_noise(self, clean: Tensor, noise: Tensor, levels: Tensor) -> Noised:
        """Noisy latents at noise levels.

        For flow matching with level s: x = (1 - s) x0 + s e, target e - x0. For a
        variance-preserving process, at timestep floor(s * train_timesteps):
        x = sqrt(a) x0 + sqrt(1 - a) e, target e, or v = sqrt(a) e - sqrt(1 - a) x0, or x0.

        Args:
            clean: (B, ...) x0.
            noise: (B, ...) e, standard normal.
            levels: (B,) in (0, 1], as `sample_noise_levels` draws them.

        Raises:
            ValueError: shapes that differ, or a level outside (0, 1].
        """
        if noise.shape != clean.shape:
            raise ValueError(
                f"noise has shape {tuple(noise.shape)} and clean {tuple(clean.shape)}; they must "
                "be alike"
            )
        if levels.shape != (len(clean),):
            raise ValueError(f"levels has shape {tuple(levels.shape)}; it must be ({len(clean)},)")
        if not bool(((levels > 0) & (levels <= 1)).all()):
            raise ValueError(f"levels are {levels.tolist()}; noise levels lie in (0, 1]")
        wide = torch.promote_types(clean.dtype, torch.float32)
        levels = levels.to("cpu", torch.float64)  # which some accelerators do not have
        if self.alphas_cumprod is None:
            signal, sigma, timestep = self._flow(levels)
        else:
            signal, sigma, timestep = self._variance_preserving(levels, self.alphas_cumprod)
        x0, e = clean.to(wide), noise.to(wide)
        a, s = _like(signal.to(wide), clean), _like(sigma.to(wide), clean)
        if self.prediction == "flow":
            sign = self.velocity_sign
            target, weights = sign * (e - x0), (torch.ones_like(signal), -sign * sigma)
        elif self.prediction == "epsilon":
            target, weights = e, (1 / signal, -sigma / signal)
        elif self.prediction == "v_prediction":
            target, weights = a * e - s * x0, (signal, -sigma)
        else:
            target, weights = x0, (torch.zeros_like(signal), torch.ones_like(signal))
        columns = (timestep, *(each.to(wide) for each in weights))
        return Noised(
            (a * x0 + s * e).to(clean.dtype), target, *(each.to(clean.device) for each in columns)
        )

    def _flow(self, levels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = self.train_timesteps
        if self.whole_timesteps:
            levels = (levels * count).round().clamp_min(1) / count
        at = levels if self.velocity_sign == 1 else 1 - levels
        timestep = (at * count).round().long() if self.whole_timesteps else (at * count).float()
        return 1 - levels, levels, timestep

    def _variance_preserving(
        self, levels: Tensor, alphas_cumprod: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        count = self.train_timesteps
        timestep = (levels * count).floor().long().clamp_max(count - 1)
        squared = alphas_cumprod.to(levels)[timestep]
        return squared.sqrt(), (1 - squared).sqrt(), timestep


def forward_process(scheduler: Any) -> ForwardProcess:
    """The forward process behind a pipeline's scheduler.

    Args:
        scheduler: a diffusers scheduler; its schedule does not matter.

    Raises:
        ValueError: a scheduler that is not known here or scales the model's input, or a prediction
            type that is not known.
    """
    name, config = type(scheduler).__name__, scheduler.config
    prediction = config.get("prediction_type", "epsilon")
    count = int(config["num_train_timesteps"])
    if name in FLOW or (name in MULTISTEP and prediction == "flow_prediction"):
        sign = -1 if config.get("invert_sigmas", False) else 1
        return ForwardProcess("flow", count, velocity_sign=sign, whole_timesteps=name in MULTISTEP)
    if name not in (*BY_ALPHAS, *MULTISTEP):
        raise ValueError(
            f"{name} is not known here, or scales its model's input; use one of "
            f"{', '.join((*FLOW, *MULTISTEP, *BY_ALPHAS))}"
        )
    if prediction not in ("epsilon", "v_prediction", "sample"):
        raise ValueError(
            f"prediction_type {prediction!r} is not known here; choose epsilon, v_prediction or "
            "sample"
        )
    return ForwardProcess(prediction, count, alphas_cumprod=scheduler.alphas_cumprod)


def sample_noise_levels(
    count: int,
    *,
    generator: torch.Generator,
    density: Density = "uniform",
    shift: float = 1.0,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    """(count,) noise levels in (0, 1], drawn on the generator's device.

    "uniform" draws u evenly from [low, high], "logit_normal" u = low + (high - low) * sigmoid(z)
    with standard normal z, which prefers the middle. Then s = shift * u / (1 + (shift - 1) * u),
    as schedulers shift their sigmas: above 1 towards noise.

    Args:
        count: levels.
        generator: of the draw.
        density: of u.
        shift: the pipeline's own, e.g. 3 or 5 for Wan.
        low: least u.
        high: greatest u.

    Raises:
        ValueError: an unknown density, a `shift` that is not above 0, or limits that are not
            0 <= low < high <= 1.

    References: Stable Diffusion 3 (arXiv 2403.03206), sections 3.1 and 5.3.2.
    """
    if density not in get_args(Density):
        raise ValueError(f"density is {density!r}; choose from {', '.join(get_args(Density))}")
    if not 0 < shift < torch.inf:
        raise ValueError(f"shift is {shift}; it must be above 0")
    if not 0 <= low < high <= 1:
        raise ValueError(f"low is {low} and high {high}; they must be 0 <= low < high <= 1")
    device = generator.device
    if density == "uniform":  # 1 - u: never 0, where there is nothing to learn
        unit = 1 - torch.rand(count, generator=generator, device=device, dtype=torch.float64)
    else:
        unit = torch.randn(count, generator=generator, device=device, dtype=torch.float64).sigmoid()
    drawn = low + (high - low) * unit
    return shift * drawn / (1 + (shift - 1) * drawn)


def _like(column: Tensor, latents: Tensor) -> Tensor:
    """(B,) as (B, 1, ...), on the device of the latents."""
    return column.to(latents.device).reshape(-1, *[1] * (latents.ndim - 1))

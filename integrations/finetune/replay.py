"""What a pipeline's model says at one noise level, by the pipeline's own code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.sampling_run import subclassed, tidy


class _AnsweredError(Exception):
    """Carries the model's output out of the pipeline."""


def predict(pipe: Any, latents: Tensor, timestep: Tensor, arguments: Mapping[str, Any]) -> Tensor:
    """The model's output for noisy latents at one timestep, after classifier-free guidance.

    The pipeline is called as for generation, with `latents` as its start and a schedule of this
    one timestep, and is left where it would take the step. So everything that it does for its
    model (packing, embeddings, conditions, the choice among experts) is done by its own code.

    Args:
        pipe: a diffusers video pipeline.
        latents: (B, ...) as its loop holds them.
        timestep: 0-d, on the scale and in the dtype of the scheduler's timesteps.
        arguments: of the pipeline's call, as for generation. Its generators begin anew from their
            seeds: where a pipeline draws the latents of its image (CogVideoX), those are the same.

    Returns:
        (B, ...) like `latents`. The graph reaches latents and the model's weights where grad mode
        is on, whatever the pipeline's own decorator says.

    Raises:
        ValueError: a timestep off the schedule of a scheduler that scales the model's input by it,
            or a pipeline whose scheduler sees a part of the latents.
        RuntimeError: the pipeline takes no step.
    """
    scheduler = pipe.scheduler
    scheduler_class = type(scheduler)

    @functools.wraps(scheduler_class.set_timesteps)
    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
        scheduler_class.set_timesteps(self, *args, **kwargs)
        if self is scheduler:
            _keep_only(scheduler, timestep)

    @functools.wraps(scheduler_class.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self is not scheduler:
            return scheduler_class.step(self, *args, **kwargs)
        bound = inspect.signature(scheduler_class.step).bind(self, *args, **kwargs)
        refuse_part(pipe, bound.arguments["sample"], latents)
        raise _AnsweredError(bound.arguments["model_output"])

    call = inspect.unwrap(type(pipe).__call__)
    given = {**arguments, "latents": latents, "output_type": "latent"}
    if "generator" in given:
        given["generator"] = _anew(given["generator"])
    try:
        # Latents are given as the loop holds them, so nothing must scale them as initial noise.
        with subclassed(scheduler, set_timesteps=set_timesteps, step=step, init_noise_sigma=1.0):
            call(pipe, **given)
    except _AnsweredError as answer:
        output: Tensor = answer.args[0]
        if output.ndim == latents.ndim - 1:  # TextToVideoSD gives its scheduler single frames
            output = output.unflatten(0, (len(latents), -1)).transpose(1, 2)
        return output
    finally:
        tidy(pipe)
    raise RuntimeError(f"{type(pipe).__name__} took no step of its scheduler")


def refuse_part(pipe: Any, sample: Tensor, latents: Tensor) -> None:
    """Raise where a pipeline's scheduler sees only a part of the latents that its loop holds.

    Args:
        pipe: named in the error.
        sample: (B, ...) that the scheduler was given.
        latents: (B, ...) that the pipeline's loop holds.

    Raises:
        ValueError: it was given less, as where the first frame is an image that stays.
    """
    if sample.numel() < latents.numel():
        raise ValueError(
            f"{type(pipe).__name__} gives its scheduler {tuple(sample.shape)} of latents "
            f"{tuple(latents.shape)}: a part is not denoised (a given first frame), and a step "
            "cannot be replayed from the rest; use RewardBackpropTrainer with method draft or "
            "align-prop, or an image-to-video pipeline that denoises all its latents, such as Wan's"
        )


def _anew(generator: Any) -> Any:
    if isinstance(generator, list):
        return [_anew(one) for one in generator]
    if generator is None:
        return None
    return torch.Generator(generator.device).manual_seed(generator.initial_seed())


def _keep_only(scheduler: Any, timestep: Tensor) -> None:
    """Cut a schedule down to one timestep, with its own sigma and the one after it."""
    timesteps = scheduler.timesteps
    timestep = timestep.to(timesteps)
    found = (timesteps == timestep).nonzero()
    if len(found):
        place = int(found[0])
        if getattr(scheduler, "sigmas", None) is not None:
            scheduler.sigmas = scheduler.sigmas[place:]
    elif type(scheduler).__name__.startswith("Euler"):
        raise ValueError(
            f"timestep {float(timestep)} is not on the schedule of {type(scheduler).__name__}, "
            "whose sigmas scale the model's input; use a flow, DDIM or DPM-Solver scheduler"
        )
    scheduler.timesteps = timestep.reshape(1)

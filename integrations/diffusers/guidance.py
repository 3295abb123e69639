"""Guidance of a pipeline by the gradient of a reward of the clean video that it predicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from aigv_reward import RewardFn
from aigv_reward.integrations.diffusers.offloading import bring_to_device, is_group_offloaded
from aigv_reward.integrations.diffusers.reward_gradient import (
    Guided,
    RewardGradient,
    check_finite,
    check_settings,
    clipped_change,
    norms,
)
from aigv_reward.integrations.diffusers.sampling_run import Hook, Run, Step, hooked

Through = Literal["latents", "denoiser"]
Schedule = Literal["constant", "linear", "cosine"]
DENOISERS = ("transformer", "transformer_2", "unet")


class RewardGuidance(Hook):
    """Pulls late steps of a pipeline towards a higher reward while its context is open.

    ```python
    with RewardGuidance(pipe, reward, scale=2.0, start=0.6) as guide:
        frames = pipe(prompt="a cat surfing").frames
    guide.history[-1].reward, guide.history[-1].gradient
    ```

    At a guided step the predicted clean latents x0 become x0 + d,

        through="latents":   d = scale * w * N * grad of R(decode(x0)) with respect to x0
        through="denoiser":  d = scale * w * N * (noise^2 / signal) * grad with respect to x

    with N latents a video, so that d maximises, to first order, the reward less mean(d^2) / (2
    scale w) whatever the size of the video; the second is classifier guidance written for x0,
    through the denoiser. Then d is cut to the share `clip` of |x0 - x|, what the step still takes
    away from the noisy latents x. The model's output is replaced by the one that stands for x0 +
    d, so that a multistep solver remembers what it was led to.

    On noisy latents the gradient of a reward of clean videos is coloured noise: begin late.

    Args:
        pipe: a diffusers video pipeline.
        reward: any differentiable reward.
        scale: strength, above 0 (0 guides nothing).
        start: share of the steps done before the first guided one; [0, 1).
        stop: share of the steps after which guiding ends; up to 1.
        through: "latents", the decoder's gradient alone, or "denoiser", which takes a backward
            pass of the model as well, and cannot guide the first step of a run.
        clip: greatest share of |x0 - x|, per video.
        schedule: w over the guided steps: constant 1, or rising from 0 to 1.
        weights: {dimension: weight} of the reward; None: its own.
        fps: frames per second of the video, for rewards that sample by time.
        window: latent frames that a guided step decodes, at a place drawn anew each time, for
            gradients at a part of the memory; None: all.
        seed: of the windows.

    Attributes:
        history: a `Guided` for every guided step since the context was opened.

    Raises:
        ValueError: a setting out of its range, a reward without gradient, a gradient that is not
            finite.

    References: universal guidance (arXiv 2302.07121), section 3; DPS (2209.14687), algorithm 1;
        FreeDoM (2303.09833); classifier guidance (2105.05233), section 4.
    """

    def __init__(
        self,
        pipe: Any,
        reward: RewardFn,
        *,
        scale: float = 2.0,
        start: float = 0.6,
        stop: float = 1.0,
        through: Through = "latents",
        clip: float = 0.2,
        schedule: Schedule = "constant",
        weights: Mapping[str, float] | None = None,
        fps: float | None = None,
        window: int | None = None,
        seed: int = 0,
    ) -> None:
        check_settings(scale=scale, clip=clip, start=start, stop=stop, window=window)
        if through not in get_args(Through):
            raise ValueError(f"through is {through!r}; choose {' or '.join(get_args(Through))}")
        if schedule not in get_args(Schedule):
            raise ValueError(f"schedule is {schedule!r}; choose {', '.join(get_args(Schedule))}")
        if through == "denoiser" and start == 0:
            raise ValueError("start is 0; through the denoiser the first step cannot be guided")
        self.pipe, self.scale, self.start, self.stop = pipe, scale, start, stop
        self.through, self.clip, self.schedule = through, clip, schedule
        self.gradient = RewardGradient(reward, weights=weights, fps=fps, window=window, seed=seed)
        self.history: list[Guided] = []
        self._leaf: Tensor | None = None
        self._grad_mode = False
        self._stack = ExitStack()

    def __enter__(self) -> RewardGuidance:
        self.history = []
        self._stack.callback(_prepared(self.pipe, self.through))
        self._stack.enter_context(hooked(self.pipe, self))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        self._leaf = None

    def on_start(self, run: Run) -> None:
        """Windows follow from the seed in every run."""
        self.gradient.reset()
        self._leaf = None

    def before_step(self, step: Step) -> None:
        """Lead the step, if it is a guided one."""
        weight = self._weight(step.index, step.run.num_steps)
        if weight == 0:
            return
        devices = _devices(self.pipe)
        clean = step.clean().detach()
        reward, gradient = self.gradient(step.run, clean, step.index)
        factor = 1.0
        if self.through == "denoiser":
            gradient = self._through_denoiser(step, gradient, devices)
            factor = step.formula.now.noise**2 / step.formula.now.signal
        change, share, cut = clipped_change(
            gradient * (self.scale * weight * factor * gradient[0].numel()),
            clean - step.sample.detach().to(clean),
            clip=self.clip,
        )
        step.set_clean(clean + change)
        self.history.append(Guided(step.index, reward, norms(gradient), share, cut))

    def after_step(self, step: Step, sample: Tensor) -> Tensor:
        """Before a step that is guided through the denoiser, its graph begins here."""
        following = self._weight(step.index + 1, step.run.num_steps)
        if self.through == "latents" or step.is_last or following == 0:
            return sample
        self._leaf, self._grad_mode = sample.detach().requires_grad_(), torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        return self._leaf

    def _through_denoiser(
        self, step: Step, gradient: Tensor, devices: Mapping[str, torch.device]
    ) -> Tensor:
        """From the gradient with respect to x0 that with respect to x, B videos at once."""
        leaf, self._leaf = self._leaf, None
        if leaf is None:
            raise ValueError(
                f"step {step.index} is the first of its run, which cannot be guided through the "
                "denoiser; raise start"
            )
        if not step.model_output.requires_grad:
            raise ValueError(
                f"the denoiser's answer at step {step.index} has no gradient: something in it runs "
                'under no_grad or detaches; use through="latents"'
            )
        clean = step.clean()
        for name, device in devices.items():
            model = getattr(self.pipe, name)
            if model.device != device:  # decoding made an offloaded denoiser leave its device
                bring_to_device(model)
        (gradient,) = torch.autograd.grad(clean, leaf, gradient.to(clean))
        torch.set_grad_enabled(self._grad_mode)
        step.model_output = step.model_output.detach()
        check_finite(gradient, step.index)
        return gradient.to(clean.dtype)

    def _weight(self, index: int, num_steps: int) -> float:
        """The schedule's weight of a step, 0 where it is not guided."""
        # Less what a product such as 0.07 * 100 is too large by.
        first, end = (math.ceil(share * num_steps - 1e-9) for share in (self.start, self.stop))
        if self.scale == 0 or not first <= index < end:
            return 0.0
        rank = (index - first + 1) / (end - first)
        ramps = {"constant": 1.0, "linear": rank, "cosine": (1 - math.cos(math.pi * rank)) / 2}
        return ramps[self.schedule]


def _devices(pipe: Any) -> dict[str, torch.device]:
    """Where the denoisers are."""
    return {name: model.device for name, model in _models(pipe, DENOISERS).items()}


def _models(pipe: Any, names: Sequence[str]) -> dict[str, Any]:
    found = {name: getattr(pipe, name, None) for name in names}
    return {name: model for name, model in found.items() if isinstance(model, nn.Module)}


def _prepared(pipe: Any, through: Through) -> Any:
    """Freeze what is differentiated, let denoisers recompute their blocks; returns what undoes it.

    Raises:
        ValueError: gradients through a denoiser whose weights are swapped by group offloading.
    """
    denoisers = _models(pipe, DENOISERS) if through == "denoiser" else {}
    for name, model in denoisers.items():
        if is_group_offloaded(model):
            raise ValueError(
                f"{name} is group-offloaded: its weights are elsewhere when gradients are "
                'computed; use enable_model_cpu_offload, or through="latents"'
            )
    undo = ExitStack()
    for model in (*denoisers.values(), *_models(pipe, ("vae",)).values()):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.requires_grad_(False)
                undo.callback(parameter.requires_grad_, True)
    for model in denoisers.values():
        recomputes = getattr(model, "_supports_gradient_checkpointing", False)
        if recomputes and not model.is_gradient_checkpointing:
            model.enable_gradient_checkpointing()
            undo.callback(model.disable_gradient_checkpointing)
    return undo.close

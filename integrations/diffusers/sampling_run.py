"""One run of a pipeline, seen from its scheduler's steps, without a copy of its loop."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.latent_formats import format_of
from aigv_reward.integrations.diffusers.latent_layout import unpack
from aigv_reward.integrations.diffusers.latents import decode_latents
from aigv_reward.integrations.diffusers.step_formula import StepFormula, position, step_formula


class Interrupted(Exception):
    """Raised by a hook to end the run at this step; the pipeline then returns None."""


@dataclass
class Run:
    """One call of a pipeline.

    Attributes:
        pipe: the pipeline.
        arguments: of the call, defaults included.
        first: position of the first step among the scheduler's timesteps.
        num_steps: that the run has.
    """

    pipe: Any
    arguments: dict[str, Any]
    first: int | None = None
    num_steps: int = 0

    def prompts(self, batch: int) -> list[str | None]:
        """One text a video: the call's `prompt`, or None where it was given embeddings only."""
        prompt = self.arguments.get("prompt")
        texts = list(prompt) if isinstance(prompt, list | tuple) else [prompt]
        if batch % len(texts):
            raise ValueError(f"{len(texts)} prompts for a batch of {batch} latents")
        return [text for text in texts for _ in range(batch // len(texts))]

    def generators(self, batch: int) -> list[torch.Generator | None]:
        """The call's generator of each video; one that is shared stands there for each."""
        given = self.arguments.get("generator")
        return list(given) if isinstance(given, list | tuple) else [given] * batch

    @property
    def sizes(self) -> dict[str, Any]:
        """Height, width and num_frames of the call, None where the pipeline has none."""
        return {name: self.arguments.get(name) for name in ("height", "width", "num_frames")}

    def decode(self, latents: Tensor, **options: Any) -> Tensor:
        """`decode_latents` with the run's sizes."""
        return decode_latents(self.pipe, latents, **self.sizes, **options)

    def window(self, latents: Tensor, width: int, generator: torch.Generator) -> slice:
        """A window of so many latent frames, all where there are fewer, at a place drawn."""
        vae = self.pipe.vae
        count = unpack(self.pipe, vae, format_of(vae), latents, **self.sizes).shape[2]
        width = min(width, count)
        first = int(torch.randint(count - width + 1, (1,), generator=generator))
        return slice(first, first + width)


@dataclass
class Step:
    """One step of a run, before or after the scheduler has taken it.

    Attributes:
        run: that it belongs to.
        index: 0 .. run.num_steps - 1.
        timestep: as the scheduler gets it.
        sample: (B, ...) noisy latents as the pipeline's loop holds them (LTX: packed).
        model_output: (B, ...) after classifier-free guidance; a hook may replace it before the
            scheduler sees it.
        formula: relates sample, model output and clean latents.
    """

    run: Run
    index: int
    timestep: Any
    sample: Tensor
    model_output: Tensor
    formula: StepFormula
    order: Tensor | None = field(default=None, init=False)

    @property
    def is_last(self) -> bool:
        """Whether no step follows."""
        return self.index == self.run.num_steps - 1

    def clean(self) -> Tensor:
        """x0, the clean latents that the model predicts, (B, ...) in float32 or wider."""
        return self.formula.clean(self.sample, self.model_output)

    def set_clean(self, clean: Tensor) -> None:
        """Make the model predict these clean latents, for this step and every solver's memory."""
        output = self.formula.output(self.sample, clean)
        self.model_output = output.to(self.model_output.dtype)

    def take_order(self) -> Tensor | None:
        """What `reindex` asked for, once."""
        order, self.order = self.order, None
        return order

    def reindex(self, order: Tensor) -> None:
        """Let video i go on from what video `order[i]` is now, solver history included.

        Called from `Hook.before_step` it takes effect before the scheduler takes the step, so that
        copies get noise of their own where the step has noise; called from `Hook.after_step`, on
        what the step has made.
        """
        self.order = order


class Hook:
    """What a run tells; every method may be left out."""

    def on_start(self, run: Run) -> None:
        """The pipeline was called."""

    def on_schedule(self, run: Run) -> None:
        """The scheduler has its timesteps, and no step was taken."""

    def before_step(self, step: Step) -> None:
        """The model has answered; `step.model_output` may be replaced."""

    def after_step(self, step: Step, sample: Tensor) -> Tensor:
        """The scheduler made `sample` of it; returns what the loop goes on with."""
        return sample

    def on_end(self, run: Run) -> None:
        """The pipeline returned or raised."""


@contextmanager
def hooked(pipe: Any, hook: Hook, *, run: Run | None = None) -> Iterator[None]:
    """Let `hook` see every step of every run of `pipe`, until the context ends.

    The pipeline and its scheduler get a subclass each, which carries nothing but the hook:
    isinstance, signatures and configs stay what they are, and copies of the scheduler are not
    hooked.

    Args:
        pipe: a pipeline with a `scheduler`.
        hook: what is told of it.
        run: one that is under way, when a callback joins it; None: runs that begin from now on.

    Raises:
        ValueError: a pipeline without a scheduler.
    """
    scheduler = getattr(pipe, "scheduler", None)
    if scheduler is None:
        raise ValueError(f"{type(pipe).__name__} has no scheduler; hooks see its steps")
    runs = [] if run is None else [run]
    pipe_class, scheduler_class = type(pipe), type(scheduler)

    @functools.wraps(pipe_class.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self is not pipe:
            return pipe_class.__call__(self, *args, **kwargs)
        bound = inspect.signature(pipe_class.__call__).bind(self, *args, **kwargs)
        bound.apply_defaults()
        arguments = {key: value for key, value in bound.arguments.items() if key != "self"}
        arguments.update(arguments.pop("kwargs", {}))  # where modular pipelines take most of theirs
        run = Run(pipe, arguments)
        runs.append(run)
        try:
            hook.on_start(run)
            return pipe_class.__call__(self, *args, **kwargs)
        except Interrupted as interruption:
            if interruption.args != (hook,):
                raise
            tidy(pipe)
            return None
        finally:
            runs.pop()
            hook.on_end(run)

    @functools.wraps(scheduler_class.step)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self is not scheduler or not runs:
            return scheduler_class.step(self, *args, **kwargs)
        return _hooked_step(scheduler_class, runs[-1], hook, self, *args, **kwargs)

    @functools.wraps(scheduler_class.set_timesteps)
    def set_timesteps(self: Any, *args: Any, **kwargs: Any) -> None:
        scheduler_class.set_timesteps(self, *args, **kwargs)
        if self is scheduler and runs:
            hook.on_schedule(runs[-1])

    methods = {"step": step, "set_timesteps": set_timesteps}
    with subclassed(pipe, __call__=call), subclassed(scheduler, **methods):
        yield


def tidy(pipe: Any) -> None:
    """What a pipeline does at the end of a run that it did not reach."""
    for name, value in (("_current_timestep", None), ("_interrupt", False)):
        if hasattr(pipe, name):
            setattr(pipe, name, value)
    pipe.maybe_free_model_hooks()


@contextmanager
def subclassed(instance: Any, **attributes: Any) -> Iterator[None]:
    """Give one object other methods, through a subclass of its class, until the context ends."""
    base = type(instance)
    names = {"__module__": base.__module__, "__qualname__": base.__qualname__, **attributes}
    instance.__class__ = type(base.__name__, (base,), names)
    try:
        yield
    finally:
        instance.__class__ = base


def _hooked_step(
    scheduler_class: type, run: Run, hook: Hook, scheduler: Any, *args: Any, **kwargs: Any
) -> Any:
    original: Any = scheduler_class.step  # type: ignore[attr-defined]
    bound = inspect.signature(original).bind(scheduler, *args, **kwargs)
    timestep = bound.arguments["timestep"]
    place = position(scheduler, timestep)
    if run.first is None:
        run.first, run.num_steps = place, len(scheduler.timesteps) - place
    sample, model_output = bound.arguments["sample"], bound.arguments["model_output"]
    num_frames = int(run.arguments.get("num_frames") or 0)
    folded = sample.ndim == 4 and num_frames > 0
    step = Step(
        run=run,
        index=place - run.first,
        timestep=timestep,
        sample=_unfolded(sample, num_frames) if folded else sample,
        model_output=_unfolded(model_output, num_frames) if folded else model_output,
        formula=step_formula(scheduler, timestep),
    )
    hook.before_step(step)
    order = step.take_order()
    if order is not None:
        rows = _frame_rows(order, num_frames) if folded else order
        step.sample = step.sample[order.to(sample.device)]
        step.model_output = step.model_output[order.to(sample.device)]
        bound.arguments["sample"] = _folded(step.sample) if folded else step.sample
        for name in PER_VIDEO & bound.arguments.keys():
            bound.arguments[name] = _reordered(bound.arguments[name], rows)
        reorder_history(scheduler, rows)
    bound.arguments["model_output"] = _folded(step.model_output) if folded else step.model_output
    result = original(*bound.args, **bound.kwargs)
    made = result[0] if isinstance(result, tuple) else result.prev_sample
    sample = hook.after_step(step, _unfolded(made, num_frames) if folded else made)
    extras = result[1:] if isinstance(result, tuple) else ()
    if step.order is not None:
        sample = sample[step.order.to(sample.device)]
        rows = _frame_rows(step.order, num_frames) if folded else step.order
        extras = tuple(_reordered(extra, rows) for extra in extras)
        reorder_history(scheduler, rows)
    if folded:
        sample = _folded(sample)
    if isinstance(result, tuple):
        return (sample, *extras)
    result.prev_sample = sample
    return result


def _unfolded(latents: Tensor, num_frames: int) -> Tensor:
    """(B, C, F, h, w) of the (B * F, C, h, w) that TextToVideoSD's scheduler gets."""
    return latents.unflatten(0, (-1, num_frames)).transpose(1, 2)


def _folded(latents: Tensor) -> Tensor:
    return latents.transpose(1, 2).flatten(0, 1)


def _frame_rows(order: Tensor, num_frames: int) -> Tensor:
    return (order[:, None] * num_frames + torch.arange(num_frames, device=order.device)).flatten()


PER_VIDEO = {"old_pred_original_sample"}  # arguments of a step that come from the one before
HISTORY = {
    "UniPCMultistepScheduler": ("model_outputs", "last_sample"),
    "DPMSolverMultistepScheduler": ("model_outputs",),
    "DEISMultistepScheduler": ("model_outputs",),
}


def reorder_history(scheduler: Any, order: Tensor) -> None:
    """What a multistep solver remembers of each video, in the order of the videos that go on."""
    for name in HISTORY.get(type(scheduler).__name__, ()):
        value = getattr(scheduler, name)
        if isinstance(value, list):
            setattr(scheduler, name, [_reordered(entry, order) for entry in value])
        else:
            setattr(scheduler, name, _reordered(value, order))


def _reordered(value: Any, order: Tensor) -> Any:
    return value[order.to(value.device)] if isinstance(value, Tensor) else value

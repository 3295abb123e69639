"""A filter of generated videos that also gives up hopeless ones while they are generated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aigv_reward import FilterRules, RewardFn
from aigv_reward.integrations.diffusers.sampling_run import Hook, Interrupted, Run, Step, hooked
from aigv_reward.integrations.rewards import values_of


@dataclass(frozen=True)
class Look:
    """What a filter saw of one candidate.

    Attributes:
        step: 0-based step of the look; None for finished frames.
        num_steps: of the run; None for finished frames.
        scores: {dimension: score} of the predicted clean video.
        kept: whether the rules let it pass.
        reasons: why not, a line each.
    """

    step: int | None
    num_steps: int | None
    scores: Mapping[str, float]
    kept: bool
    reasons: tuple[str, ...]


class RewardFilter(Hook):
    """Judges videos by `FilterRules`, finished ones and those still being made.

    ```python
    with RewardFilter(pipe, reward, rules, looks=[0.5]) as keep:
        out = pipe(prompt="a cat surfing", output_type="pt")  # None: interrupted half-way
    keep.steps_saved, keep.looks[-1].reasons
    ```

    While its context is open, it decodes the clean video that the model predicts at the chosen
    steps, scores it, and ends the run when every video of the batch is rejected; the pipeline then
    returns None, its state as after any run. It is also a `callback_on_step_end`: there the run
    cannot be left, so the steps that remain are skipped, the pipeline returns what it has, and
    `keep.rejected` says so. Candidates of a batch share their fate: one at a time saves most.

    Predicted clean videos are blurred in early steps and score lower than what comes of them.
    Measure by how much on your own pipeline, and give the looks rules of their own.

    Args:
        pipe: the pipeline.
        reward: any reward; rules name the dimensions it returns ("reward" for a plain tensor).
        rules: for finished frames, and for looks unless `look_rules` is given.
        looks: where to look, as shares of the steps done, 0 < share < 1.
        look_rules: for looks.
        fps: of the generated video, for rewards that sample by time.
        prompts: texts for the reward where the filter is a callback, one a video; a context reads
            them from the call.
        window: latent frames that a look decodes; None: all.

    Attributes:
        looks: everything that was judged, in order.
        rejected: whether the run under way, or the last one, was given up.
        interrupted: videos whose run was given up.
        steps_saved: denoising steps of single videos that were not taken.
        steps_run: those that were (a callback sees them from the second on).

    Raises:
        ValueError: no looks, or one outside (0, 1).
    """

    def __init__(
        self,
        pipe: Any,
        reward: RewardFn,
        rules: FilterRules,
        *,
        looks: Sequence[float] = (0.5,),
        look_rules: FilterRules | None = None,
        fps: float | None = None,
        prompts: Sequence[str | None] | None = None,
        window: slice | None = None,
    ) -> None:
        if not looks or not all(0 < share < 1 for share in looks):
            raise ValueError(f"looks is {list(looks)}; give shares of the steps between 0 and 1")
        self.pipe, self.reward, self.rules = pipe, reward, rules
        self.look_rules = rules if look_rules is None else look_rules
        self.shares, self.fps, self.prompts, self.window = tuple(looks), fps, prompts, window
        self.looks: list[Look] = []
        self.rejected = False
        self.interrupted = self.steps_saved = self.steps_run = 0
        self._stack = ExitStack()
        self._joined = False
        self._last = 0

    def judge(self, frames: Tensor, prompts: Sequence[str | None] | None = None) -> list[Look]:
        """What the rules say of finished videos, (B, T, 3, H, W) in [0, 1]."""
        return self._judge(frames, prompts, self.rules, None)

    def __enter__(self) -> RewardFilter:
        self._stack.enter_context(hooked(self.pipe, self))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def __call__(
        self, pipe: Any, index: int, timestep: Any, callback_kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """The filter as diffusers' `callback_on_step_end`.

        The first call joins the run; from the second step on its clean latents are known.

        Raises:
            ValueError: another pipeline than the filter was made for, or one that cannot be
                interrupted by a callback.
        """
        if pipe is not self.pipe:
            raise ValueError("this filter was made for another pipeline; make one for each")
        if not hasattr(type(pipe), "interrupt"):
            raise ValueError(
                f"{type(pipe).__name__} cannot be interrupted by a callback; "
                "open the filter as a context: with RewardFilter(...): pipe(...)"
            )
        if index == 0:
            self._detach()
            self.rejected = False
            first = _place_of(pipe.scheduler, timestep)
            total = len(pipe.scheduler.timesteps) - first
            run = Run(pipe, {"prompt": self.prompts}, first=first, num_steps=total)
            self._stack.enter_context(hooked(pipe, self, run=run))
            self._joined = True
            self._last = first + total - 1
        if self.rejected or _place_of(pipe.scheduler, timestep) == self._last:
            self._detach()
        return {}

    def on_start(self, run: Run) -> None:
        if self._joined:  # the run that a callback joined never reached its last step
            self._detach()
            return
        self.rejected = False

    def before_step(self, step: Step) -> None:
        batch = len(step.sample)
        self.steps_run += batch
        if step.index not in self._steps(step.run):
            return
        frames = [self._decoded(step, row) for row in range(batch)]
        texts = step.run.prompts(batch)
        seen = self._judge(torch.cat(frames), texts, self.look_rules, step)
        if any(look.kept for look in seen):
            return
        self.rejected = True
        self.interrupted += batch
        self.steps_saved += batch * (step.run.num_steps - step.index - 1)
        if self._joined:
            self.pipe._interrupt = True
        else:
            raise Interrupted(self)

    def _steps(self, run: Run) -> set[int]:
        """The steps at which to look: the last one that is taken before each share is done."""
        return {max(0, math.ceil(share * run.num_steps) - 1) for share in self.shares}

    def _decoded(self, step: Step, row: int) -> Tensor:
        with torch.no_grad():
            clean = step.clean()[row : row + 1].to(step.sample.dtype)
            return step.run.decode(clean, window=self.window).clamp(0, 1)

    def _judge(
        self,
        frames: Tensor,
        prompts: Sequence[str | None] | None,
        rules: FilterRules,
        step: Step | None,
    ) -> list[Look]:
        with torch.no_grad():
            scores = values_of(self.reward, frames, prompts, fps=self.fps)
        seen = []
        for row in range(len(frames)):
            values = {name: float(column[row]) for name, column in scores.items()}
            decision = rules.decide(values)
            index, total = (None, None) if step is None else (step.index, step.run.num_steps)
            seen.append(Look(index, total, values, decision.kept, decision.reasons))
        self.looks += seen
        return seen

    def _detach(self) -> None:
        self._stack.close()
        self._joined = False


def _place_of(scheduler: Any, timestep: Any) -> int:
    """Which of the scheduler's timesteps a callback is told of."""
    return int((scheduler.timesteps == timestep).nonzero()[0])

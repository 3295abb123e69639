"""Steering: candidates that are weighed and resampled while they are generated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.diffusers.candidate_inputs import frame_rate
from aigv_reward.integrations.diffusers.ranked import Ranked
from aigv_reward.integrations.diffusers.resampling import (
    Potential,
    Potentials,
    effective_sample_size,
    systematic_resampling,
)
from aigv_reward.integrations.diffusers.sampling_run import HISTORY, Hook, Run, Step, hooked
from aigv_reward.integrations.diffusers.scheduler_noise import drawn_by
from aigv_reward.integrations.diffusers.sde import Kind, stochastic_step
from aigv_reward.integrations.diffusers.selection import best_of_n
from aigv_reward.integrations.diffusers.step_formula import VARIANCE_EXPLODING
from aigv_reward.integrations.rewards import scores_of

Sampler = Literal["auto", "own", "flow_sde", "dance_sde", "cps", "ddim"]
NOISE_LEVELS = {"flow_sde": 0.7, "dance_sde": 0.3, "cps": 0.7, "ddim": 1.0}
OWN_NOISE = (
    "CogVideoXDPMScheduler",
    "DDPMScheduler",
    "EulerAncestralDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "LCMScheduler",
    "LTXEulerAncestralRFScheduler",
)


@dataclass(frozen=True)
class SteeringLook:
    """What happened at a look.

    Attributes:
        step: 0-based.
        rewards: (K,) of the clean videos that the particles' model predicts.
        ess: effective sample size of the weights, 1 .. K.
        ancestors: which particle each one goes on from; None where none was resampled.
    """

    step: int
    rewards: Tensor
    ess: float
    ancestors: list[int] | None


@dataclass(frozen=True, eq=False, repr=False)
class Steered(Ranked):
    """Particles ranked by the reward of their videos, and how they came about.

    `seeds[i]` is that of slot i's noise; where particles were resampled, its beginning is another
    slot's, see `looks`.
    """

    looks: list[SteeringLook] = field(default_factory=list)


def steer(
    pipe: Any,
    reward: RewardFn,
    prompt: str | None,
    *,
    seed: int,
    particles: int = 4,
    looks: Sequence[float] = (0.25, 0.5, 0.75),
    potential: Potential = "difference",
    strength: float = 10.0,
    ess_threshold: float = 0.5,
    sampler: Sampler = "auto",
    noise_level: float | None = None,
    window: slice | None = None,
    keep: int = 1,
    fps: float | None = None,
    weights: Mapping[str, float] | None = None,
    progress: bool = True,
    **pipe_kwargs: Any,
) -> Steered:
    """Particles of one prompt, steered towards a higher reward; the best come back first.

    All particles are one batch of the pipeline. At each look the clean video that the model
    predicts of every particle is scored, and its log-weight grows by a potential of the reward.
    When the effective sample size falls below `ess_threshold` of the particles, they are resampled
    before the step is taken: good ones go on in several copies, bad ones end. Weights of looks
    without resampling are kept. Copies part through the noise of the steps: a scheduler without
    noise of its own gets it, with its own sigmas, by `stochastic_step`; a multistep solver then
    takes single stochastic steps.

    Without looks and with `noise_level=0` this is `best_of_n` with `batch_size=n`.

    Args:
        pipe: a video pipeline of diffusers.
        reward: any reward; no gradient is needed.
        prompt: one text, or None with embeddings.
        seed: of the first particle; the others count up from it, as in `best_of_n`.
        particles: K, generated at once.
        looks: shares of the steps done at which particles are weighed, in (0, 1).
        potential: "difference", "max" or "sum", see `Potentials`.
        strength: of the potential, in units of one over the reward's: at 10 a reward that is
            higher by 0.1 weighs e times as much.
        ess_threshold: in [0, 1]; 0 never resamples, 1 at every look.
        sampler: where the noise comes from: "own" of the scheduler, or a kind of
            `stochastic_step`; "auto": own where there is some, else flow_sde, cps or ddim by
            schedule. flow_sde has too much noise in a handful of long steps; cps never has. With
            "own" of a scheduler that has none, copies never part.
        noise_level: of `stochastic_step`; None: 0.7 (flow_sde, cps), 0.3 (dance_sde), 1 (ddim). 0
            leaves the scheduler's own steps.
        window: latent frames that a look decodes; None: all.
        keep: how many videos come back.
        fps: frames per second, for the reward, as in `best_of_n`.
        weights: {dimension: weight} of the total.
        progress: show a bar.
        pipe_kwargs: of the pipeline's call.

    Raises:
        ValueError: a setting out of its range, or a pipeline whose particles cannot be resampled.
        RuntimeError: the reward of a particle failed at a look, or at the end.

    References: FK steering (arXiv 2501.06848), algorithm 1; DAS (2501.05803); noise of flow models
        as in Flow-GRPO (2505.05470), equation 9.
    """
    _check(pipe, particles, looks, ess_threshold, sampler, window)
    hook = _Particles(
        pipe,
        reward,
        particles,
        looks=looks,
        potentials=Potentials(particles, potential=potential, strength=strength),
        ess_threshold=ess_threshold,
        sampler=sampler,
        noise_level=noise_level,
        window=window,
        fps=frame_rate(pipe, fps, pipe_kwargs)[0],
        weights=weights,
        seed=seed,
        prompt=prompt,
    )
    with drawn_by(pipe.scheduler, hook.generators), hooked(pipe, hook):
        ranked = best_of_n(
            pipe,
            reward,
            prompt,
            particles,
            seed=seed,
            batch_size=particles,
            keep=keep,
            fps=fps,
            weights=weights,
            progress=progress,
            **pipe_kwargs,
        )
    return Steered(**{f.name: getattr(ranked, f.name) for f in fields(Ranked)}, looks=hook.looks)


class _Particles(Hook):
    def __init__(
        self,
        pipe: Any,
        reward: RewardFn,
        count: int,
        *,
        looks: Sequence[float],
        potentials: Potentials,
        ess_threshold: float,
        sampler: Sampler,
        noise_level: float | None,
        window: slice | None,
        fps: float | None,
        weights: Mapping[str, float] | None,
        seed: int,
        prompt: str | None,
    ) -> None:
        self.reward, self.count, self.shares = reward, count, tuple(looks)
        self.potentials, self.ess_threshold = potentials, ess_threshold
        self.sampler, self.noise_level, self.window = sampler, noise_level, window
        self.fps, self.weights, self.prompt = fps, weights, prompt
        self.looks: list[SteeringLook] = []
        self.generators: list[torch.Generator | None] = []
        self._draw = torch.Generator().manual_seed(seed - 1)  # no particle's seed

    def on_start(self, run: Run) -> None:
        self.generators[:] = run.generators(self.count)

    def before_step(self, step: Step) -> None:
        if len(step.sample) != self.count:
            raise ValueError(
                f"the pipeline steps {len(step.sample)} videos for {self.count} particles; it must "
                "take a list of prompts and one generator each"
            )
        if step.index in {max(0, math.ceil(s * step.run.num_steps) - 1) for s in self.shares}:
            self._look(step)

    def after_step(self, step: Step, sample: Tensor) -> Tensor:
        kind = self._kind(step)
        if kind is None:
            return sample
        level = NOISE_LEVELS[kind] if self.noise_level is None else self.noise_level
        if step.is_last or step.formula.after.noise == 0:
            kind, level = "cps", 0.0
        made = stochastic_step(
            step.formula, step.sample, step.clean(), kind=kind, noise_level=level
        )
        return made.draw(self._noise(step)).to(sample.dtype)

    def _noise(self, step: Step) -> Tensor:
        """Standard normal noise of each slot, by the slot's own generator."""
        draws = [
            torch.randn(step.sample.shape[1:], generator=generator) for generator in self.generators
        ]
        return torch.stack(draws).to(step.sample.device)

    def _kind(self, step: Step) -> Kind | None:
        """The stochastic step that replaces the scheduler's, or None."""
        if self.sampler == "own" or self.noise_level == 0:
            return None
        if self.sampler != "auto":
            return self.sampler
        scheduler = step.run.pipe.scheduler
        config = scheduler.config
        if (
            type(scheduler).__name__ in OWN_NOISE
            or config.get("algorithm_type", "").startswith("sde")
            or config.get("stochastic_sampling", False)
        ):
            return None
        if step.formula.prediction == "flow":
            return "flow_sde"
        return "cps" if type(scheduler).__name__ in VARIANCE_EXPLODING else "ddim"

    @torch.no_grad()
    def _look(self, step: Step) -> None:
        rewards = torch.cat([self._reward(step, row) for row in range(self.count)])
        self.potentials.add(rewards)
        ess = effective_sample_size(self.potentials.log_weights)
        ancestors = None
        if ess < self.ess_threshold * self.count:
            order = systematic_resampling(self.potentials.log_weights, self._draw)
            self.potentials.resampled(order)
            step.reindex(order)
            ancestors = order.tolist()
        self.looks.append(SteeringLook(step.index, rewards.cpu(), ess, ancestors))

    def _reward(self, step: Step, row: int) -> Tensor:
        clean = step.clean()[row : row + 1].to(step.sample.dtype)
        frames = step.run.decode(clean, window=self.window).clamp(0, 1)
        try:
            scores = scores_of(
                self.reward, frames, [self.prompt], fps=self.fps, weights=self.weights
            )
        except Exception as error:
            raise RuntimeError(
                f"the reward of particle {row} failed at step {step.index}: {error}"
            ) from error
        return scores.total


def _check(
    pipe: Any,
    particles: int,
    looks: Sequence[float],
    ess_threshold: float,
    sampler: str,
    window: slice | None,
) -> None:
    if particles < 1:
        raise ValueError(f"particles is {particles}; it must be at least 1")
    if not all(0 < share < 1 for share in looks):
        raise ValueError(f"looks is {list(looks)}; give shares of the steps between 0 and 1")
    if not 0 <= ess_threshold <= 1:
        raise ValueError(f"ess_threshold is {ess_threshold}; it must be in [0, 1]")
    if sampler not in get_args(Sampler):
        raise ValueError(f"unknown sampler {sampler!r}; choose {', '.join(get_args(Sampler))}")
    if "LTX2" in type(pipe).__name__:
        raise ValueError(
            f"{type(pipe).__name__} makes sound beside the video, which cannot be resampled with "
            "it; use best_of_n"
        )
    scheduler = type(pipe.scheduler).__name__
    if hasattr(pipe.scheduler, "model_outputs") and scheduler not in HISTORY:
        raise ValueError(
            f"{scheduler} remembers steps in a way that is not known here; use one of "
            f"{', '.join(HISTORY)}, or a scheduler that takes single steps"
        )

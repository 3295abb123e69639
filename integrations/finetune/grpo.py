"""Flow-GRPO on video pipelines: policy gradients through the steps of a stochastic sampler."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from aigv_reward.integrations.diffusers.sampling_run import Hook, Step
from aigv_reward.integrations.diffusers.sde import Kind, stochastic_step
from aigv_reward.integrations.diffusers.step_formula import StepFormula
from aigv_reward.integrations.finetune.advantages import (
    Advantages,
    Combine,
    best_and_worst,
    group_advantages,
)
from aigv_reward.integrations.finetune.arguments import VideoTrainingArguments, setting
from aigv_reward.integrations.finetune.base import Row, VideoTrainer
from aigv_reward.integrations.finetune.groups import Group, sample_group
from aigv_reward.integrations.finetune.grpo_loss import gaussian_kl, grpo_loss
from aigv_reward.integrations.finetune.lora import without_lora
from aigv_reward.integrations.finetune.replay import predict, refuse_part

SAMPLERS = ("flow_sde", "dance_sde", "cps", "ddim")
COMBINE = ("normalise_then_sum", "sum_then_normalise")


@dataclass
class FlowGRPOConfig(VideoTrainingArguments):
    """Settings of `FlowGRPOTrainer`."""

    group_size: int = setting("Videos a prompt.", default=8)
    sampler: str = setting(
        "Noise of the steps: flow_sde, dance_sde, cps; ddim or cps for epsilon and v models.",
        default="flow_sde",
    )
    noise_level: float = setting("Of the sampler.", default=0.7)
    sde_steps: int | None = setting(
        "Steps of a run with noise, which are those that train; the others follow the scheduler. "
        "None: all but the last.",
        default=None,
    )
    sde_window: bool = setting(
        "The noisy steps are consecutive, at a place drawn anew each step (MixGRPO); otherwise "
        "they are drawn from all.",
        default=True,
    )
    shared_noise: bool = setting("All videos of a group begin with the same noise.", default=False)
    combine_rewards: str = setting(
        "Several dimensions: normalise_then_sum (GDPO) or sum_then_normalise.",
        default="normalise_then_sum",
    )
    clip_low: float = setting("How far the ratio may fall under 1.", default=1e-3)
    clip_high: float = setting("How far the ratio may rise above 1.", default=1e-3)
    kl_beta: float = setting("Weight of the KL to the model without LoRA.", default=0.0)
    keep_of_group: int | None = setting(
        "Best and worst videos of a group that train; None: all.", default=None
    )
    num_iterations: int = setting("Optimizer steps on each batch of videos.", default=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise ValueError(f"group_size is {self.group_size}; a group needs 2 videos or more")
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler is {self.sampler!r}; choose {', '.join(SAMPLERS)}")
        if self.combine_rewards not in COMBINE:
            raise ValueError(
                f"combine_rewards is {self.combine_rewards!r}; choose {' or '.join(COMBINE)}"
            )
        if not self.noise_level > 0:
            raise ValueError(
                f"noise_level is {self.noise_level}; without noise no step has a probability"
            )
        if self.num_iterations < 1:
            raise ValueError(f"num_iterations is {self.num_iterations}; it must be at least 1")
        if self.save_strategy != "no" and self.save_steps % self.num_iterations:
            raise ValueError(
                f"save_steps is {self.save_steps} and num_iterations {self.num_iterations}; save "
                "where a batch of videos is used up, at a multiple"
            )


@dataclass
class NoisyStep:
    """A step of a batch that was drawn from a Gaussian.

    Attributes:
        formula: of the step.
        timestep: of it.
        before: (B, ...) latents that the model saw.
        after: (B, ...) latents that were drawn, in the loop's dtype.
        log_prob: (B,) of the draw, as it was made.
    """

    formula: StepFormula
    timestep: Any
    before: Tensor
    after: Tensor
    log_prob: Tensor


class NoisyRun(Hook):
    """Replaces some steps of a run by draws, and keeps them.

    Args:
        seeds: of the noise, one a video.
        steps: which of the run's steps, given their number.
        kind: of the draw.
        noise_level: of it.
    """

    def __init__(
        self, seeds: Sequence[int], steps: Sequence[int], *, kind: Kind, noise_level: float
    ) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.steps, self.kind, self.noise_level = set(steps), kind, noise_level
        self.drawn: list[NoisyStep] = []

    def after_step(self, step: Step, sample: Tensor) -> Tensor:
        """Draw instead of stepping, in the steps that train."""
        if step.index not in self.steps:
            return sample
        made = stochastic_step(
            step.formula, step.sample, step.clean(), kind=self.kind, noise_level=self.noise_level
        )
        shape = step.sample.shape[1:]
        noise = torch.stack([torch.randn(shape, generator=g) for g in self.generators])
        after = made.draw(noise.to(step.sample.device)).to(sample.dtype)
        log_prob = made.log_prob(after)  # of what is stored, after its rounding
        self.drawn.append(NoisyStep(step.formula, step.timestep, step.sample, after, log_prob))
        return after


@dataclass
class _Batch:
    """Groups, their noisy steps and advantages, used for `num_iterations` optimizer steps."""

    groups: list[Group]
    runs: list[list[NoisyRun]]
    advantages: list[Advantages]
    trains: list[Tensor] = field(default_factory=list)


class FlowGRPOTrainer(VideoTrainer):
    """Trains a generator by the group-relative advantages of its videos.

    The reward needs no gradient. In some steps of a run noise is drawn, so that the policy has a
    probability; each of them is replayed with a graph, by the pipeline's own code.

    References: Flow-GRPO (arXiv 2505.05470), algorithm 1; DanceGRPO (2505.07818); MixGRPO
        (2507.21802), section 3; GRPO (2402.03300).
    """

    args: FlowGRPOConfig
    _batch: _Batch | None = None

    def training_step(
        self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None
    ) -> Tensor:
        """One backward pass for each noisy step of each batch of videos; one optimizer step."""
        if self._batch is None or self.state.global_step % self.args.num_iterations == 0:
            self._batch = self._sampled(inputs)
        batch = self._batch
        work = [
            (group, run, place, first)
            for group in range(len(batch.groups))
            for run, first in zip(batch.runs[group], self._firsts(batch, group), strict=True)
            for place in range(len(run.drawn))
        ]
        rows = len(batch.groups) * self.args.group_size * len(batch.runs[0][0].drawn)
        total = torch.zeros((), device=self.args.device)
        accelerator = self.accelerator
        boundary = accelerator.sync_gradients
        try:
            for number, (group, run, place, first) in enumerate(work):
                sync = boundary and number == len(work) - 1
                accelerator.sync_gradients = sync  # where it is set, DeepSpeed's backward steps
                with nullcontext() if sync else accelerator.no_sync(model):
                    loss = model(partial(self._step_loss, batch, group, run, place, first, rows))
                    self.backward(loss)
                total += loss.detach()
        finally:
            accelerator.sync_gradients = boundary
        return total

    def _firsts(self, batch: _Batch, group: int) -> list[int]:
        """The number of the first video of each run of a group."""
        sizes = [len(run.generators) for run in batch.runs[group]]
        return [sum(sizes[:i]) for i in range(len(sizes))]

    def _sampled(self, rows: Sequence[Row]) -> _Batch:
        """New videos of each row, scored."""
        batch = _Batch([], [], [])
        args = self.args
        for row in rows:
            runs: list[NoisyRun] = []

            hook = partial(self._noisy_run, steps=self._noisy_steps(row), runs=runs)
            group = sample_group(
                self, row, args.group_size, shared_noise=args.shared_noise, hook=hook
            )
            refuse_part(self.pipe, runs[0].drawn[0].before, group.parts[0].latents)
            advantages = self._advantages(group)
            trains = advantages.trains
            if args.keep_of_group is not None:
                trains = best_and_worst(
                    advantages, group_size=args.group_size, keep=args.keep_of_group
                )
            batch.groups.append(group)
            batch.runs.append(runs)
            batch.advantages.append(advantages)
            batch.trains.append(trains)
        return batch

    def _noisy_run(
        self, seeds: Sequence[int], *, steps: Sequence[int], runs: list[NoisyRun]
    ) -> NoisyRun:
        kind = cast(Kind, self.args.sampler)
        runs.append(NoisyRun(seeds, steps, kind=kind, noise_level=self.args.noise_level))
        return runs[-1]

    def _advantages(self, group: Group) -> Advantages:
        weights = self.args.weights
        values = {"total": group.scored.total}
        if weights is not None and len(weights) > 1:
            values = {name: group.scored.values[name] for name in weights}
        advantages = group_advantages(
            {name: column.nan_to_num() for name, column in values.items()},
            group_size=self.args.group_size,
            weights=weights if len(values) > 1 else None,
            combine=cast(Combine, self.args.combine_rewards),
            valid=group.scored.valid,
        )
        self.record("groups/dropped", float(advantages.dropped_groups))
        self.record("groups/zero_variance", advantages.zero_variance_share)
        self.record("advantages/absolute", advantages.values[advantages.trains].abs())
        return advantages

    def _noisy_steps(self, row: Row) -> list[int]:
        """Which steps of a run are drawn; the same for all videos of a group."""
        count = self.num_steps([row])
        wanted = self.args.sde_steps
        if wanted is None:
            return list(range(count - 1))
        wanted = min(wanted, count - 1)
        draw = torch.Generator().manual_seed(self.seed_of_levels(row, 3))
        if self.args.sde_window:
            first = int(torch.randint(count - wanted, (1,), generator=draw))
            return list(range(first, first + wanted))
        return sorted(torch.randperm(count - 1, generator=draw)[:wanted].tolist())

    def _step_loss(
        self, batch: _Batch, group: int, run: NoisyRun, place: int, first: int, rows: int
    ) -> Tensor:
        """The loss of one noisy step of some videos of a group."""
        args, step = self.args, run.drawn[place]
        videos = slice(first, first + len(step.before))
        arguments = batch.groups[group].parts[batch.runs[group].index(run)].arguments
        made = self._replayed(step, arguments)
        kl = None
        if args.kl_beta:
            with torch.no_grad(), without_lora(self.denoisers):
                reference = self._replayed(step, arguments)
            std = 0.0 if args.sampler == "cps" else made.std
            kl = gaussian_kl(made.mean, reference.mean, std=std)
        device = made.mean.device
        result = grpo_loss(
            made.log_prob(step.after),
            step.log_prob,
            batch.advantages[group].values[videos].to(device),
            clip_low=args.clip_low,
            clip_high=args.clip_high,
            kl=kl,
            beta=args.kl_beta,
            trains=batch.trains[group][videos].to(device),
            num_rows=rows,
        )
        if self.state.global_step == 0 and result.rows and result.ratio != 1.0:
            raise RuntimeError(
                f"before the first update the ratio of the policy to itself is {result.ratio!r}; "
                "the replay of a step differs from the step: report it with pipeline and scheduler"
            )
        for name in ("ratio", "clip_fraction", "kl"):
            self.record(f"grpo/{name}", getattr(result, name))
        return result.loss

    def _replayed(self, step: NoisyStep, arguments: Any) -> Any:
        output = predict(self.pipe, step.before, torch.as_tensor(step.timestep), arguments)
        clean = step.formula.clean(step.before, output)
        return stochastic_step(
            step.formula,
            step.before,
            clean,
            kind=cast(Kind, self.args.sampler),
            noise_level=self.args.noise_level,
        )

"""Reward back-propagation: the reward's gradient through decode and the last denoising steps."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu

from aigv_reward.integrations.diffusers.sampling_run import Hook, Interrupted, Run, Step
from aigv_reward.integrations.finetune.arguments import VideoTrainingArguments, setting
from aigv_reward.integrations.finetune.base import Generation, Row, VideoTrainer, seed_of
from aigv_reward.integrations.finetune.replay import predict, refuse_part
from aigv_reward.integrations.rewards import scores_of, within_range

METHODS = ("draft", "draft-lv", "align-prop", "refl")


@dataclass
class RewardBackpropConfig(VideoTrainingArguments):
    """Settings of `RewardBackpropTrainer`."""

    method: str = setting(
        "draft: gradients through the last K steps; draft-lv: through the last step, over several "
        "noises; align-prop: through a random number of last steps up to K; refl: the predicted "
        "clean video of one random late step. What is random is drawn once an optimizer step.",
        default="draft",
    )
    backprop_steps: int = setting("K, steps that gradients pass through.", default=1)
    lv_samples: int = setting("Noises a video of draft-lv.", default=2)
    refl_start: float = setting("refl draws its step after this share of the steps.", default=0.6)
    decode_window: int | None = setting(
        "Latent frames that are decoded with gradients, drawn anew each step; None: all.",
        default=None,
    )
    offload_activations: bool = setting(
        "Keep what the backward pass needs in CPU memory.", default=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; choose one of {', '.join(METHODS)}")
        for name in ("backprop_steps", "lv_samples"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 <= self.refl_start < 1:
            raise ValueError(f"refl_start is {self.refl_start}; give a share in [0, 1)")
        if self.decode_window is not None and self.decode_window < 1:
            raise ValueError(f"decode_window is {self.decode_window}; give 1 or more, or None")


class LastSteps(Hook):
    """Keeps the graph of the last steps of a run.

    Pipelines switch grad mode off for their whole call; inside it a hook may switch it on.

    Args:
        count: how many of the last steps keep their graph; 0: none.
        stop_at: a step whose predicted clean latents are the result, with its graph alone; None:
            run to the end.
    """

    def __init__(self, count: int, *, stop_at: int | None = None) -> None:
        self.count, self.stop_at = count, stop_at
        self.clean: Tensor | None = None
        self.last: Step | None = None

    def on_schedule(self, run: Run) -> None:
        """A graph from the very first step on begins here."""
        steps = len(run.pipe.scheduler.timesteps)
        torch.set_grad_enabled(self._first(steps) == 0)

    def before_step(self, step: Step) -> None:
        """End the run at the step that is asked for."""
        self.last = step
        if step.index == self.stop_at:
            self.clean = step.clean()
            raise Interrupted(self)

    def after_step(self, step: Step, sample: Tensor) -> Tensor:
        """Switch grad mode on for the next step when its graph is wanted."""
        if step.index + 1 == self._first(step.run.num_steps):
            sample = sample.detach()
            torch.set_grad_enabled(True)
        return sample

    def _first(self, num_steps: int) -> int:
        return max(num_steps - self.count, 0) if self.stop_at is None else self.stop_at


class RewardBackpropTrainer(VideoTrainer):
    """Trains a generator on the gradient of a differentiable reward.

    The pipeline samples as always; its last steps keep their graph, through the VAE's decode and
    the reward down to the LoRA weights. The decode, and with `gradient_checkpointing` the
    denoiser, are computed again in the backward pass instead of being kept.

    References: DRaFT (arXiv 2309.17400), sections 4.1 and 4.2; AlignProp (2310.03739), section
        4.1; ReFL (2304.05977), algorithm 1; VADER (2407.08737).
    """

    args: RewardBackpropConfig
    _whole = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Minus the mean reward of one video a row."""
        loss = model(lambda: torch.stack([self._loss(row) for row in inputs]).mean())
        return (loss, {}) if return_outputs else loss

    def _loss(self, row: Row) -> Tensor:
        seed = seed_of(self.args.seed, self.state.global_step, row["index"])
        draw = torch.Generator().manual_seed(seed)
        offload = save_on_cpu() if self.args.offload_activations else nullcontext()
        with offload:
            videos = self._videos(row, seed, draw)
            return torch.stack([self._cost(video, draw) for video in videos]).mean()

    def _videos(self, row: Row, seed: int, draw: torch.Generator) -> list[Generation]:
        """The row's video, with its graph; draft-lv: several ends of one."""
        args = self.args
        # The same for all rows of a step: under FSDP all processes take equally many steps.
        depth = torch.Generator().manual_seed(seed_of(args.seed, self.state.global_step, 0, 4))
        if args.method == "refl":
            if not self._whole:  # once: the run of refl ends before its latents are seen
                hook = LastSteps(0)
                self._refuse_part(self.generate([row], [seed], hook), hook)
            count = self.num_steps([row])
            first = max(1, math.ceil(args.refl_start * count))
            hook = LastSteps(0, stop_at=int(torch.randint(first, count, (1,), generator=depth)))
            made = self.generate([row], [seed], hook)
            assert hook.clean is not None
            return [replace(made, latents=hook.clean)]
        count = args.backprop_steps
        if args.method == "align-prop":
            count = int(torch.randint(1, count + 1, (1,), generator=depth))
        if args.method != "draft-lv":
            return [self.generate([row], [seed], LastSteps(count))]
        hook = LastSteps(0)
        made = self.generate([row], [seed], hook)
        assert hook.last is not None
        self._refuse_part(made, hook)
        return [
            replace(made, latents=self._once_more(made, hook.last, draw))
            for _ in range(args.lv_samples)
        ]

    def _refuse_part(self, made: Generation, hook: LastSteps) -> None:
        assert hook.last is not None
        refuse_part(self.pipe, hook.last.sample, made.latents)
        self._whole = True

    def _once_more(self, made: Generation, last: Step, draw: torch.Generator) -> Tensor:
        """The video noised to the level of the last step, and that step with its graph."""
        clean = made.latents.detach()
        noise = torch.randn(clean.shape, generator=draw).to(clean)
        level = last.formula.now
        noisy = level.signal * clean + level.noise * noise
        output = predict(self.pipe, noisy, torch.as_tensor(last.timestep), made.arguments)
        return last.formula.clean(noisy, output)

    def _cost(self, video: Generation, draw: torch.Generator) -> Tensor:
        assert self.reward is not None
        frames = self.decode(video, window_frames=self.args.decode_window, draw=draw)
        scores = scores_of(
            self.reward,
            within_range(frames),
            video.prompts,
            fps=self.args.fps,
            weights=self.args.weights,
        )
        if not scores.total.requires_grad:
            raise ValueError(
                "the reward has no gradient with respect to the frames; back-propagation needs a "
                "differentiable one, FlowGRPOTrainer and NFTTrainer do not"
            )
        for name, column in scores.values.items():
            self.record(f"reward/{name}", column)
        self.record("reward/total", scores.total)
        self.observe(frames, video.prompts, scores.values)
        return -scores.total.mean()

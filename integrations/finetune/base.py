"""What all trainers of video generators share: LoRA, generation, reward, watch, checkpoints."""

from __future__ import annotations

import inspect
import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate.utils import save_fsdp_optimizer
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback
from transformers.trainer import SCHEDULER_NAME

from aigv_reward import RewardFn
from aigv_reward.integrations.diffusers.sampling_run import Hook, Run, hooked
from aigv_reward.integrations.finetune.arguments import VideoTrainingArguments
from aigv_reward.integrations.finetune.denoising import without_guidance
from aigv_reward.integrations.finetune.hacking_watch import Action, HackingWatch, watch_limits
from aigv_reward.integrations.finetune.lora import add_lora, load_lora, save_lora
from aigv_reward.integrations.finetune.policy import Policy
from aigv_reward.integrations.finetune.prompt_cache import PromptCache
from aigv_reward.integrations.finetune.prompt_data import Numbered, read_prompts
from aigv_reward.integrations.finetune.sampling_callback import LogSamples
from aigv_reward.integrations.finetune.scoring import Scored, score_each
from aigv_reward.integrations.finetune.sharding import Sharding, check_checkpoint, shard_denoisers
from aigv_reward.integrations.finetune.video_statistics import video_statistics

logger = logging.getLogger(__name__)
Row = Mapping[str, Any]
STATE = "video_trainer_state.json"


def seed_of(*parts: int) -> int:
    """A seed that follows from all parts, the same on every machine and process."""
    return int(np.random.SeedSequence([int(part) for part in parts]).generate_state(1)[0])


@dataclass(frozen=True)
class Generation:
    """Videos that a pipeline has made.

    Attributes:
        latents: (B, ...) clean, as the pipeline's loop holds them.
        arguments: of the call that made them.
    """

    latents: Tensor
    arguments: dict[str, Any]

    @property
    def prompts(self) -> list[str]:
        """One a video."""
        return list(self.arguments["prompt"])


class VideoTrainer(Trainer):
    """`transformers.Trainer` on a diffusers video pipeline, whose denoisers get LoRA.

    Args:
        pipe: the pipeline; frozen, its LoRA weights learn. `close` gives it back its text
            encoders.
        reward: any reward.
        args: the settings.
        train_dataset: prompts as `read_prompts` takes them: a file, a list, a data set; columns
            that the pipeline's call knows reach it.
        judge: a second reward that is watched and never trained on.
        callbacks: as transformers takes them.

    Raises:
        ValueError: nothing in the pipeline takes LoRA, or a row has no prompt.
    """

    loss_is_scaled_for_ga = False
    args: VideoTrainingArguments

    def __init__(
        self,
        pipe: Any,
        reward: RewardFn | None,
        args: VideoTrainingArguments,
        train_dataset: Any,
        *,
        judge: RewardFn | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
    ) -> None:
        self.pipe, self.reward, self.judge, self.args = pipe, reward, judge, args
        if args.n_gpu > 1:  # DataParallel would split groups; a launcher starts several processes
            args._n_gpu = 1
        self.cache = PromptCache(pipe)
        alpha = args.lora_alpha if args.lora_alpha is not None else 2.0 * args.lora_rank
        self.denoisers = add_lora(
            pipe, rank=args.lora_rank, alpha=alpha, targets=args.lora_targets, seed=args.seed
        )
        self.call_columns = set(inspect.signature(type(pipe).__call__).parameters)
        self.sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.rows = Numbered(self.read_dataset(train_dataset))
        pipe.set_progress_bar_config(disable=True)
        pipe.to(args.device)
        super().__init__(
            model=Policy(self.denoisers),
            args=args,
            data_collator=cast(Any, list),
            train_dataset=self.rows,
            callbacks=[Sharding(), *(callbacks or ())],
        )
        if self.is_fsdp_enabled:
            shard_denoisers(self.accelerator, self.denoisers)
        limits = {}
        if args.watch_limit is not None:
            limits = watch_limits(args.watch_limit, action=cast(Action, args.watch_action))
        self.watch = HackingWatch(limits, baseline=args.watch_baseline, window=args.watch_baseline)
        if args.sample_steps:
            self.add_callback(LogSamples(self))
        self.cache.open()
        if args.free_text_encoder:
            prompts = [self.rows[index]["prompt"] for index in range(len(self.rows))]
            arguments = self.call_arguments([self.rows[0]])
            for variant in (arguments, without_guidance(pipe, arguments)):
                self.cache.fill(prompts, variant)
            self.cache.free_encoders()

    def read_dataset(self, source: Any) -> Any:
        """The rows of `train_dataset`."""
        return source if isinstance(source, Dataset) else read_prompts(source)

    def close(self) -> None:
        """Give the pipeline back: its text encoders, and its own `encode_prompt`."""
        self.cache.close()

    def call_arguments(self, rows: Sequence[Row], seeds: Sequence[int] = ()) -> dict[str, Any]:
        """What the pipeline is called with for these rows, one video each."""
        arguments = dict(self.args.call_kwargs)
        for name in rows[0]:
            if name in self.call_columns:
                arguments[name] = [row[name] for row in rows]
        if seeds:
            arguments["generator"] = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        return arguments

    def num_steps(self, rows: Sequence[Row]) -> int:
        """Denoising steps of a run of these rows."""
        arguments = {**self._defaults, **self.call_arguments(rows)}
        return int(arguments["num_inference_steps"])

    def generate(
        self, rows: Sequence[Row], seeds: Sequence[int], hook: Hook | None = None, **more: Any
    ) -> Generation:
        """Videos of rows, one a seed; `hook` sees the steps and may keep the graph of the last."""
        arguments = {**self.call_arguments(rows, seeds), **more}
        grad = torch.is_grad_enabled()
        try:
            with hooked(self.pipe, hook or Hook()):
                output = self.pipe(**arguments, output_type="latent")
        finally:
            torch.set_grad_enabled(grad)  # a hook may have changed it
        return Generation(torch.empty(0) if output is None else output.frames, arguments)

    def decode(
        self,
        generation: Generation,
        *,
        window_frames: int | None = None,
        draw: torch.Generator | None = None,
    ) -> Tensor:
        """(B, T, 3, H, W) frames, not clamped, differentiable in the latents.

        Args:
            generation: the videos.
            window_frames: latent frames of a window at a place drawn by `draw`; None: all.
            draw: the window's place.
        """
        run = Run(self.pipe, {**self._defaults, **generation.arguments})
        window = None
        if window_frames is not None:
            assert draw is not None
            window = run.window(generation.latents, window_frames, draw)
        return run.decode(generation.latents, window=window, checkpoint=self.args.checkpoint_decode)

    @property
    def in_lockstep(self) -> bool:
        """Whether all processes must call the same denoisers in the same order."""
        return bool(self.is_fsdp_enabled)

    def seed_of_levels(self, row: Row, *parts: int) -> int:
        """The seed of a step's noise levels; where experts share them, the same for all rows."""
        index = row["index"] if len(self.denoisers) == 1 else 0
        return seed_of(self.args.seed, self.state.global_step, index, *parts)

    def no_loss(self) -> Tensor:
        """0 with a gradient of 0 for all that learns; in lockstep without, as all losses run."""
        zero = torch.zeros((), device=self.args.device)
        if self.in_lockstep:
            return zero
        learns = [p for m in self.denoisers.values() for p in m.parameters() if p.requires_grad]
        return zero + sum(parameter.sum() * 0 for parameter in learns)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of one part of a step's loss, as transformers' `training_step` does."""
        deepspeed = {"scale_wrt_gas": False} if self.is_deepspeed_enabled else {}
        self.accelerator.backward(loss / self.current_gradient_accumulation_steps, **deepspeed)

    @property
    def _defaults(self) -> dict[str, Any]:
        parameters = inspect.signature(type(self.pipe).__call__).parameters
        return {name: parameter.default for name, parameter in parameters.items()}

    def scored(self, frames: Tensor, prompts: Sequence[str]) -> Scored:
        """The reward of each video; one that fails is masked and counted, never a number."""
        assert self.reward is not None
        scored = score_each(
            self.reward, frames, prompts, fps=self.args.fps, weights=self.args.weights,
            all_may_fail=True,
        )  # fmt: skip
        for name, column in scored.values.items():
            self.record(f"reward/{name}", column[scored.valid])
        self.record("reward/total", scored.total[scored.valid])
        self.record("reward/failed", (~scored.valid).float())
        for row, message in scored.errors.items():
            logger.warning("no reward for %r: %s", prompts[row], message)
        return scored

    def observe(self, frames: Tensor, prompts: Sequence[str], values: Mapping[str, Tensor]) -> None:
        """Let the watch, and the judge, see what is generated.

        Args:
            frames: (B, T, 3, H, W).
            prompts: one a video.
            values: {name: (B,)} scores; NaN where a video has none. Those that are not trained on
                are watched.
        """
        frames = frames.detach().clamp(0, 1)
        trained = set(self.args.weights or {"reward", "overall"})
        held_out = {f"score/{n}": column for n, column in values.items() if n not in trained}
        if self.judge is not None:
            judged = score_each(self.judge, frames, prompts, fps=self.args.fps)
            held_out |= {f"judge/{name}": column for name, column in judged.values.items()}
        seen = self.accelerator.gather(
            {name: column.to(self.args.device) for name, column in video_statistics(frames).items()}
        )
        device = self.args.device
        scores = self.accelerator.gather(
            {name: column.detach().float().to(device) for name, column in held_out.items()}
        )
        verdict = self.watch.observe(
            seen, {name: column[~column.isnan()].cpu() for name, column in scores.items()}
        )
        for name, value in verdict.values.items():
            self.record(f"watch/{name}", value)
        if verdict.status != "ok":
            for message in verdict.messages:
                logger.warning("%s", message)
        self.record("watch/drifted", float(len(verdict.messages)))
        if verdict.status == "stop":
            self.control.should_training_stop = True

    def record(self, name: str, values: Tensor | float) -> None:
        """Count values in the mean that the next log shows."""
        column = torch.as_tensor(values, dtype=torch.float64, device="cpu").detach().flatten()
        entry = self.sums[name]
        entry[0] += float(column.sum())
        entry[1] += len(column)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as transformers does, with the means of what was recorded since the last time."""
        if "loss" in logs:
            logs |= self._means()
        super().log(logs, start_time)

    def _means(self) -> dict[str, float]:
        names = sorted(self.sums)
        if self.args.world_size > 1:
            gathered: list[Any] = [None] * self.args.world_size
            torch.distributed.all_gather_object(
                gathered, {k: list(v) for k, v in self.sums.items()}
            )
            names = sorted({name for part in gathered for name in part})
            totals = {
                name: [sum(part.get(name, (0, 0))[i] for part in gathered) for i in (0, 1)]
                for name in names
            }
        else:
            totals = dict(self.sums)
        self.sums.clear()
        return {name: totals[name][0] / totals[name][1] for name in names if totals[name][1]}

    def floating_point_ops(self, inputs: Any) -> int:
        """0: transformers counts tokens, of which these batches have none."""
        return 0

    def state_of_run(self) -> dict[str, Any]:
        """What a resumed run needs besides weights, optimizer and random state; JSON."""
        return {"watch": self.watch.state_dict()}

    def load_state_of_run(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_of_run` gave."""
        self.watch.load_state_dict(state["watch"])

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        folder, write = Path(output_dir or str(self.args.output_dir)), self.args.should_save
        save_lora(self.pipe, self.denoisers, folder, write=write)
        if write:
            (folder / STATE).write_text(json.dumps(self.state_of_run()))

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the LoRA; under FSDP transformers would gather or save the frozen weights too."""
        if not self.is_fsdp_enabled:
            super().save_model(output_dir, _internal_call)
            return
        self._save(output_dir)
        if self.args.push_to_hub and not _internal_call:
            self.push_to_hub(commit_message="Model save", revision=self.args.hub_revision)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """As transformers does it, but for the frozen weights."""
        if not self.is_fsdp_enabled:
            super()._save_optimizer_and_scheduler(output_dir)
            return
        plugin = self.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, self.accelerator, self.optimizer, self.model, output_dir)
        if self.args.should_save:
            scheduler = cast(Any, self.lr_scheduler).state_dict()
            torch.save(scheduler, Path(output_dir) / SCHEDULER_NAME)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        load_lora(self.denoisers, Path(resume_from_checkpoint))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Load the state of the run besides, which DeepSpeed's loading of weights leaves out."""
        if checkpoint is not None and not self.is_deepspeed_enabled:
            check_checkpoint(Path(checkpoint), sharded=bool(self.is_fsdp_enabled))
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.load_state_of_run(json.loads((Path(checkpoint) / STATE).read_text()))

"""Sample videos with their scores, every so many steps, for people to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from aigv_reward.integrations.finetune.samples_page import Sample, SamplesPage
from aigv_reward.integrations.finetune.scoring import score_each

if TYPE_CHECKING:
    from aigv_reward.integrations.finetune.base import VideoTrainer

STRIP = 6  # frames of a video in a film strip


class LogSamples(TrainerCallback):
    """Generates the first prompts of the data set, with the same noise each time.

    They go to `output_dir/samples/index.html` and, where it is on, to tensorboard: a film strip
    each, and their scores. One process does it; under FSDP all generate.

    Args:
        trainer: that it belongs to.
    """

    def __init__(self, trainer: VideoTrainer) -> None:
        self.trainer = trainer
        self.rows = [
            trainer.rows[i] for i in range(min(trainer.args.num_samples, len(trainer.rows)))
        ]

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """How videos look before the first step."""
        if state.global_step == 0:
            self._log(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """How they look every `sample_steps` steps."""
        if state.global_step % args.sample_steps == 0:
            self._log(state)

    @torch.no_grad()
    def _log(self, state: Any) -> None:
        trainer, args = self.trainer, self.trainer.args
        if not (state.is_world_process_zero or trainer.in_lockstep):
            return
        samples = []
        for number, row in enumerate(self.rows):
            made = trainer.generate([row], [args.seed + number])
            if state.is_world_process_zero:
                frames = trainer.decode(made).clamp(0, 1)
                samples.append(self._sample(frames, row["prompt"]))
        if not state.is_world_process_zero:
            return
        page = SamplesPage(Path(str(args.output_dir)) / "samples", title="Samples")
        page.append(state.global_step, samples, fps=args.fps or 8.0)
        for writer in self._writers():
            for number, sample in enumerate(samples):
                places = torch.linspace(0, len(sample.frames) - 1, STRIP).long()
                strip = torch.cat(list(sample.frames[places]), dim=-1)
                writer.add_image(f"samples/{number}", strip, state.global_step)
                for name, value in sample.scores.items():
                    writer.add_scalar(f"samples/{number}/{name}", value, state.global_step)

    def _sample(self, frames: torch.Tensor, prompt: str) -> Sample:
        trainer = self.trainer
        scores: dict[str, float] = {}
        error = None
        for prefix, reward in (("", trainer.reward), ("judge/", trainer.judge)):
            if reward is None:
                continue
            weights = trainer.args.weights if reward is trainer.reward else None
            scored = score_each(
                reward, frames, [prompt], fps=trainer.args.fps, weights=weights, all_may_fail=True
            )
            scores |= {prefix + name: float(column[0]) for name, column in scored.values.items()}
            error = error or scored.errors.get(0)
        return Sample(frames[0].float().cpu(), prompt, scores, error)

    def _writers(self) -> list[Any]:
        """The tensorboard writers that the trainer's callbacks hold."""
        callbacks = self.trainer.callback_handler.callbacks
        found = [getattr(callback, "tb_writer", None) for callback in callbacks]
        return [writer for writer in found if writer is not None]

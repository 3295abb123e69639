"""The trainer of the quality model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import convert_to_fp32
from torch import Tensor, nn
from torch.utils.data import Sampler
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from aigv_reward.dimensions import Dimension
from aigv_reward.model import AIGVRewardModel
from aigv_reward.training.arguments import QualityTrainingArguments
from aigv_reward.training.feature_cache import weights_digest
from aigv_reward.training.interruption import SaveOnInterrupt
from aigv_reward.training.metrics import quality_metrics
from aigv_reward.training.quality_loss import TERMS, mean_terms, quality_loss
from aigv_reward.training.samples import MixedSampler, RatedVideos, collate
from aigv_reward.training.trainable_model import TrainableRewardModel


class QualityTrainer(Trainer):
    """`transformers.Trainer` on opinion scores and preferences.

    Each saved state is a checkpoint of this package, beside what a resumed run needs. One process
    uses one device; a launcher (accelerate, torchrun) starts several.

    Args:
        model: what learns in it requires gradients.
        args: the recipe.
        train_dataset: rows and pairs, on the scale of the levels.
        eval_dataset: those of which the SRCC decides when to stop, or None.
        tokenizer: written with the checkpoints.
        source: says in the checkpoints where they come from.
    """

    loss_is_scaled_for_ga = False
    model: TrainableRewardModel
    args: QualityTrainingArguments

    def __init__(
        self,
        model: TrainableRewardModel,
        args: QualityTrainingArguments,
        train_dataset: RatedVideos,
        eval_dataset: RatedVideos | None = None,
        *,
        tokenizer: PreTrainedTokenizerFast | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        self.dimensions: tuple[Dimension, ...] = train_dataset.dimensions
        self.tokenizer = tokenizer
        self.interrupt = SaveOnInterrupt()
        self.learning = [n for n, value in model.named_parameters() if value.requires_grad]
        self.version = model.config.score_version.split("+")[0]
        model.config.trained = list(self.dimensions)
        model.config.calibration = model.config.calibration_set = None
        self.source = dict(source or {})
        model.config.source = self.source
        seed = args.seed if args.data_seed is None else args.data_seed
        self.sampler = MixedSampler([type(item) for item in train_dataset.items], seed=seed)
        if args.n_gpu > 1:  # DataParallel would split a batch, and its correlations; launch instead
            args._n_gpu = 1
        self.parts = torch.zeros(len(self.dimensions), len(TERMS), 2)
        super().__init__(
            model=model,
            args=args,
            data_collator=collate,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            compute_metrics=self._metrics,
            callbacks=[_EpochOf(self.sampler), self.interrupt],
        )
        if self.is_fsdp_enabled:
            # Its bfloat16 weights would meet float32 statistics in batch norms: autocast alone.
            self.accelerator.state.fsdp_plugin.mixed_precision_policy = None
        if args.early_stopping_patience is not None:
            self.add_callback(EarlyStoppingCallback(args.early_stopping_patience))

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as transformers does.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed; the state after the last step is saved.
        """
        with self.interrupt.listening():
            output = super().train(*args, **kwargs)
        if self.interrupt.stopped:
            raise KeyboardInterrupt
        return output

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The batch's `quality_loss`.

        Raises:
            ValueError: it is not finite.
        """
        output = self._answers(model, inputs)
        loss, parts = quality_loss(
            output["scores"], output["level_logits"], inputs, self.model.config, self.args
        )
        if not bool(torch.isfinite(loss)):
            raise ValueError(
                f"the loss is {loss.item()} after step {self.state.global_step}; lower "
                "learning_rate, or train without fp16"
            )
        if model.training:
            self.parts += parts.to(self.parts.device)
        return (loss, output) if return_outputs else loss

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The loss, scores (I, 2, D), and targets above choices (I, 2, D)."""
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad():
            loss, output = self.compute_loss(model, inputs, return_outputs=True)
        if prediction_loss_only:
            return loss, None, None
        scores, second = output["scores"], inputs["second"]
        first = scores[: len(second)]
        other = scores[second.clamp(min=0)].where(second[:, None] >= 0, torch.nan)
        labels = torch.stack([inputs["targets"], inputs["choices"]], dim=1)
        return loss, torch.stack([first, other], dim=1), labels

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as transformers does, with the mean of each dimension's terms since the last time."""
        if "loss" in logs:
            parts = self.accelerator.reduce(self.parts.to(self.args.device), reduction="sum").cpu()
            logs |= mean_terms(parts, self.dimensions)
            self.parts.zero_()
        super().log(logs, start_time)

    @property
    def weights_step(self) -> int:
        """The step that the model's weights are of: after training that of the best ones."""
        loaded_best = not self.is_in_train and self.state.best_model_checkpoint is not None
        if self.args.load_best_model_at_end and loaded_best:
            return int(self.state.best_global_step or 0)
        return int(self.state.global_step)

    def floating_point_ops(self, inputs: Any) -> int:
        """0: transformers counts tokens, of which these batches have none."""
        return 0

    def _answers(self, model: nn.Module, inputs: Mapping[str, Any]) -> Any:
        views = {name: inputs[name] for name in ("key_frames", "fragments", "fast")}
        with self.accelerator.autocast():  # which accelerate does not enter for FSDP2
            output = model(**views, text_ids=inputs["text_ids"], dimensions=self.dimensions)
        return convert_to_fp32(output)

    def _metrics(self, prediction: EvalPrediction) -> dict[str, float]:
        labels: Any = prediction.label_ids
        scores: Any = prediction.predictions
        return quality_metrics(scores, labels[:, 0], labels[:, 1], self.dimensions)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[Any]:
        return self.sampler

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save as transformers does, into a folder that is there before any process looks for it.

        With sharded states it saves nothing here, and then asks whether the folder exists: the
        processes would disagree on which checkpoint is the best, and wait for each other for ever.
        """
        Path(output_dir or str(self.args.output_dir)).mkdir(parents=True, exist_ok=True)
        super().save_model(output_dir, _internal_call)

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        """A checkpoint of this package: config.json, model.safetensors and tokenizer.json."""
        if not self.args.should_save:
            return
        folder = Path(output_dir or str(self.args.output_dir))
        model = self.accelerator.unwrap_model(self.model)
        state = model.state_dict() if state_dict is None else state_dict
        # DeepSpeed passes no weights where it saves them itself.
        digest = weights_digest({name: state[name] for name in self.learning if name in state})
        model.config.score_version = f"{self.version}+{digest[:12]}"
        self.source["steps"] = self.weights_step
        model.save_pretrained(folder, state_dict=state)
        model.config.architectures = [AIGVRewardModel.__name__]
        model.config.save_pretrained(folder)
        if self.tokenizer is not None:
            self.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Refuse a state of other weights, which transformers would only warn of."""
        tied = set(self.model.all_tied_weights_keys)
        missing = [name for name in load_result.missing_keys if name not in tied]
        if missing or load_result.unexpected_keys:
            raise ValueError(
                f"the saved weights lack {missing} and have {load_result.unexpected_keys} besides; "
                "resume with the configuration that the run was begun with"
            )


class _EpochOf(TrainerCallback):
    """Tells the sampler the epoch, which a resumed run would not know."""

    def __init__(self, sampler: MixedSampler) -> None:
        self.sampler = sampler

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.sampler.epoch = int(state.epoch or 0)


def predicted_scores(
    trainer: QualityTrainer, dataset: RatedVideos
) -> dict[Dimension, Sequence[float]]:
    """{dimension: score of each item's first video}, by the views that scoring sees."""
    predictions: Any = trainer.predict(dataset).predictions
    return {
        name: predictions[:, 0, column].tolist() for column, name in enumerate(trainer.dimensions)
    }

"""A training run, from lists of opinions to a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import set_seed
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from aigv_reward import __version__
from aigv_reward.reward import VideoReward
from aigv_reward.reward.golden import write_golden
from aigv_reward.training.arguments import (
    TOWERS,
    DataArguments,
    ModelArguments,
    QualityTrainingArguments,
)
from aigv_reward.training.calibration import calibration_of
from aigv_reward.training.feature_cache import FeatureCache
from aigv_reward.training.lists import read_opinions
from aigv_reward.training.metrics import choose_metric
from aigv_reward.training.opinions import Opinion
from aigv_reward.training.run_folder import (
    FACTS,
    RESULTS,
    check_facts,
    check_folder,
    run_facts,
    stopped_at,
    write_json,
)
from aigv_reward.training.run_inputs import (
    cache_features,
    check_questions,
    one_a_video,
    prompt_rate_of,
    read_contents,
)
from aigv_reward.training.samples import RatedVideos, encode_prompts
from aigv_reward.training.split_rows import SplitRows, deal_out, read_splits
from aigv_reward.training.splits import Item, item_videos
from aigv_reward.training.trainable_model import load_trainable
from aigv_reward.training.trainer import QualityTrainer, predicted_scores


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        folder: the checkpoint, for `VideoReward.from_pretrained`.
        steps: optimiser steps of the whole run.
        weights_step: the step that the weights are of, the best one by default.
        metrics: {"validation" and "test", where there are such rows: {metric: value}},
            None where all scores were equal.
        calibration_set: what the calibration was computed on.
    """

    folder: Path
    steps: int
    weights_step: int
    metrics: Mapping[str, Mapping[str, float | None]]
    calibration_set: str


@dataclass
class QualityRun:
    """A run that is ready to train: `prepare_run` makes it.

    Attributes:
        rows: the split rows.
        trainer: the trainer, whose `output_dir` holds the run.
        datasets: {"train", "validation", "test" and "calibration": what the trainer reads}.
        calibration_set: name of the videos that the scores are calibrated on.
        state: the saved state that training goes on from, or None.
    """

    rows: SplitRows
    trainer: QualityTrainer
    datasets: Mapping[str, RatedVideos]
    calibration_set: str
    state: Path | None

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return Path(str(self.trainer.args.output_dir))

    def train(self) -> RunResult:
        """Train, measure on held-out rows, calibrate, and write the checkpoint.

        Raises:
            KeyboardInterrupt: Ctrl-C; what is needed to resume exactly is saved.
            VideoDecodeError: a video broke off inside.
        """
        trainer = self.trainer
        if self.state is not None and (last := stopped_at(self.state)):
            trainer.args.max_steps = last
        trainer.train(resume_from_checkpoint=None if self.state is None else str(self.state))
        metrics = {
            name: self._figures(name) for name in ("validation", "test") if name in self.datasets
        }
        config = trainer.model.config
        scores = predicted_scores(trainer, self.datasets["calibration"])
        config.calibration, config.calibration_set = calibration_of(scores), self.calibration_set
        trainer.source["held_out"] = metrics
        if trainer.is_fsdp_enabled:
            trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
        trainer.save_model()
        steps = int(trainer.state.global_step)
        result = RunResult(self.folder, steps, trainer.weights_step, metrics, self.calibration_set)
        if trainer.args.should_save:
            unset_hf_deepspeed_config()  # as above: this process loads it alone
            write_golden(VideoReward.from_pretrained(self.folder), self.folder)
            skipped = {str(path): reason for path, reason in self.rows.skipped.items()}
            write_json(
                self.folder / RESULTS,
                {"steps": steps, "sizes": self.rows.sizes(), "skipped": skipped, **metrics},
            )
        trainer.accelerator.wait_for_everyone()
        return result

    def _figures(self, name: str) -> dict[str, float | None]:
        """The metrics of a split, None where all scores are equal."""
        found = self.trainer.predict(self.datasets[name], metric_key_prefix=name).metrics
        return {
            key.removeprefix(f"{name}_"): None if math.isnan(value) else value
            for key, value in (found or {}).items()
            if not key.endswith(("_runtime", "_per_second", "_preparation_time"))
        }


def prepare_run(
    data: DataArguments,
    model_args: ModelArguments,
    args: QualityTrainingArguments,
    *,
    resume: bool = False,
) -> QualityRun:
    """Read and check everything, split, load the model and fill the feature cache.

    Args:
        data: lists and splits.
        model_args: checkpoint and what learns.
        args: the recipe.
        resume: go on from the last saved state of `args.output_dir`.

    Raises:
        ValueError: anything that would make the run fail, or its figures wrong, found before it
            starts.
    """
    # Under ZeRO stage 3 transformers would load the model in shards, which have no weights to
    # compute features with; whole, DeepSpeed shards it when training begins.
    unset_hf_deepspeed_config()
    folder, skip = Path(str(args.output_dir)), data.skip_unreadable
    state = check_folder(folder, resume=resume)
    given = read_splits(data)
    reference = _reference(data)
    everything = [*(item for items in given.values() for item in items), *(reference or ())]
    paths = [path for item in everything for path in item_videos(item)]
    digests, skipped = read_contents(paths, args, skip=skip)
    set_seed(args.seed)  # LoRA starts from random weights
    model, tokenizer = load_trainable(model_args, bf16=args.bf16)
    frozen = [name for name in TOWERS if name not in model_args.train_towers]
    cache = FeatureCache(Path(data.feature_cache or folder / "feature_cache"), model, frozen)
    skipped |= cache_features(cache, model, digests, args, skip=skip)
    rows = deal_out(given, data, digests, skipped)
    check_questions(rows.dimensions, rows.splits["train"], model)
    if args.eval_strategy != "no":
        validation = rows.splits.get("validation", ())
        asked = str(args.metric_for_best_model)
        args.metric_for_best_model = choose_metric(validation, rows.dimensions, asked)
    facts = run_facts(rows.digest(), model_args, args)
    if state is not None:
        check_facts(folder, facts)
    rate = prompt_rate_of(model_args, rows.dimensions, model, tokenizer)
    readable = [
        item
        for item in reference or rows.splits["train"]
        if not any(path in skipped for path in item_videos(item))
    ]
    calibration = one_a_video(readable, digests)
    sets: dict[str, Sequence[Item]] = {str(name): items for name, items in rows.splits.items()}
    sets["calibration"] = calibration
    limit = model.prompt_format.max_prompt_tokens
    datasets = {
        name: RatedVideos(
            items,
            rows.dimensions,
            digests=digests,
            sampling=model.config.view_sampling,
            cache=cache,
            text_ids=encode_prompts(items, tokenizer, max_tokens=limit)
            if rate and tokenizer is not None
            else None,
            prompt_rate=rate,
            seed=args.seed if args.data_seed is None else args.data_seed,
        )
        for name, items in sets.items()
    }
    trainer = QualityTrainer(
        model,
        args,
        datasets["train"],
        datasets.get("validation"),
        tokenizer=tokenizer,
        source=_source(rows, model_args, facts, model.config.score_version),
    )
    if state is None and args.should_save:
        write_json(folder / FACTS, facts)
        rows.write(folder / "splits")
    where = "training rows" if reference is None else Path(str(data.calibration_opinions)).name
    return QualityRun(rows, trainer, datasets, f"{where}, {len(calibration)} videos", state)


def _reference(data: DataArguments) -> list[Opinion] | None:
    if data.calibration_opinions is None:
        return None
    return read_opinions(data.calibration_opinions, root=data.root, columns=data.columns)


def _source(
    rows: SplitRows, model: ModelArguments, facts: Mapping[str, Any], version: str
) -> dict[str, Any]:
    """What a checkpoint says about where it comes from."""
    return {
        "kind": "aigv_reward.training",
        "package": __version__,
        "from": model.checkpoint or "lite",
        "from_score_version": version,
        "rows": rows.sizes()["train"],
        "recipe": dict(facts),
    }

"""What a training run is told: its lists, its model and its recipe, one key each."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import torch
from transformers import TrainingArguments

from aigv_reward.training.sharding import check_deepspeed

TOWERS = ("technical", "motion", "semantic")
LANGUAGE_MODEL = ("lora", "full", "frozen")
ABSOLUTE = ("levels", "huber", "none")


def _key(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass
class DataArguments:
    """The lists of opinions, how they are read and how they are split."""

    opinions: list[str] = field(
        default_factory=list,
        metadata={"help": "lists of mean opinion scores: .txt, .csv, .jsonl, .parquet"},
    )
    preferences: list[str] = field(
        default_factory=list,
        metadata={"help": "lists of choices between two videos: .csv, .jsonl, .parquet"},
    )
    root: str | None = _key(None, "folder of the videos; default each list's own folder")
    columns: dict[str, str | None] = field(
        default_factory=dict,
        metadata={"help": "{field: column} of lists with other column names; null leaves one out"},
    )
    preference_columns: dict[str, str | None] = field(
        default_factory=dict, metadata={"help": "likewise, of the lists of choices"}
    )
    mos_range: list[float] = field(
        default_factory=lambda: [1.0, 5.0],
        metadata={"help": "worst and best opinion score; mapped to 1..5"},
    )
    validation_opinions: list[str] = field(
        default_factory=list, metadata={"help": "lists of their own for validation"}
    )
    validation_preferences: list[str] = field(
        default_factory=list, metadata={"help": "likewise, of choices"}
    )
    test_opinions: list[str] = field(
        default_factory=list, metadata={"help": "lists of their own for the final test"}
    )
    test_preferences: list[str] = field(
        default_factory=list, metadata={"help": "likewise, of choices"}
    )
    validation_fraction: float = _key(
        0.1, "share of the rows held out for early stopping where validation has no lists"
    )
    test_fraction: float = _key(0.1, "share held out for the final test where it has no lists")
    split_seed: int = _key(0, "draws which prompts are held out")
    skip_unreadable: bool = _key(
        False, "leave out rows with videos that cannot be read, and list them; else they are errors"
    )
    feature_cache: str | None = _key(
        None,
        "folder of the frozen encoders' features, which runs may share; default "
        "OUTPUT_DIR/feature_cache",
    )
    calibration_opinions: str | None = _key(
        None, "list whose videos the scores are calibrated on; default the training rows' videos"
    )

    def __post_init__(self) -> None:
        if not (self.opinions or self.preferences):
            raise ValueError(
                "there is nothing to train on; give opinions: [mos.csv] or preferences: [pairs.csv]"
            )
        for name in ("validation_fraction", "test_fraction"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0, below 1")
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction {self.validation_fraction} and test_fraction "
                f"{self.test_fraction} leave nothing to train on; lower them"
            )


@dataclass
class ModelArguments:
    """The checkpoint to start from, and which parts of it learn."""

    checkpoint: str | None = _key(
        None, "folder, hub id or bundled checkpoint to start from; default lite"
    )
    train_towers: list[str] = field(
        default_factory=lambda: ["technical", "motion"],
        metadata={
            "help": "encoders that learn, of technical, motion and semantic; the features of the "
            "others are computed once"
        },
    )
    train_projections: bool = _key(True, "whether the projections of all three encoders learn")
    language_model: str = _key("lora", "what of the language model learns: lora, full or frozen")
    lora_r: int | None = _key(None, "rank; default the checkpoint's own LoRA, else 8")
    lora_alpha: int | None = _key(None, "scale times rank; default likewise, else 16")
    lora_dropout: float | None = _key(None, "default likewise, else 0.05")
    lora_target_modules: list[str] | None = field(
        default=None, metadata={"help": "layers with LoRA; default likewise, else q_proj, v_proj"}
    )
    language_model_dtype: str = _key(
        "float32", "of what does not learn in the language model: float32, or bfloat16 with bf16"
    )
    logit_divisor: float | None = _key(
        None,
        "divides the level logits; default the checkpoint's. Published checkpoints have 100, which "
        "keeps scores near 3: start from those with 1",
    )
    prompt_rate: float | None = _key(
        None,
        "share of the rows with a text prompt whose semantic question is asked with it; the others "
        "teach the question without. Validation asks with it. Default 0.5, or 0 where semantic is "
        "not trained or the checkpoint reads no prompts",
    )

    def __post_init__(self) -> None:
        if unknown := [name for name in self.train_towers if name not in TOWERS]:
            raise ValueError(f"train_towers has {unknown}; choose from {', '.join(TOWERS)}")
        if self.language_model not in LANGUAGE_MODEL:
            raise ValueError(
                f"language_model is {self.language_model!r}; choose from "
                f"{', '.join(LANGUAGE_MODEL)}"
            )
        if self.language_model_dtype not in ("float32", "bfloat16"):
            raise ValueError(
                f"language_model_dtype is {self.language_model_dtype!r}; choose float32 or bfloat16"
            )
        if self.prompt_rate is not None and not 0 <= self.prompt_rate <= 1:
            raise ValueError(f"prompt_rate is {self.prompt_rate}; it must be within 0..1")
        if not (self.train_towers or self.train_projections or self.language_model != "frozen"):
            raise ValueError(
                "nothing would learn; name train_towers, or set train_projections or language_model"
            )


@dataclass
class QualityTrainingArguments(TrainingArguments):
    """The published recipe as `transformers.TrainingArguments`, and the weights of its losses.

    Every other key is transformers' own: bf16, activation_checkpointing,
    gradient_accumulation_steps, fsdp, deepspeed, report_to, ...
    """

    rank_weight: float = _key(0.3, "weight of the pairwise hinge beside the correlation loss")
    rank_margin: float = _key(0.0, "distance in score at which an ordered pair costs nothing")
    absolute: str = _key(
        "levels",
        "what puts scores on the MOS scale: levels (cross-entropy to the two neighbouring level "
        "words), huber, or none",
    )
    absolute_weight: float = _key(1.0, "weight of the absolute term")
    pair_weight: float = _key(1.0, "weight of the choices between two videos")
    tie_k: float = _key(5.0, "how readily people call two videos the same; above 1")
    pair_scale: float = _key(3.0, "logits of preference that one point of score is worth")
    early_stopping_patience: int | None = _key(
        3, "evaluations without a better SRCC after which training stops; null: never"
    )
    per_device_train_batch_size: int = _key(
        8, "rows or pairs that a process scores at once; correlation and rank are taken within"
    )
    learning_rate: float = _key(1e-5, "peak learning rate of AdamW")
    weight_decay: float = _key(0.05, "of AdamW; not on norms and biases")
    num_train_epochs: float = _key(10.0, "passes over the training rows")
    warmup_steps: float = _key(0.25, "steps of warm-up, or below 1 their share of all steps")
    lr_scheduler_type: str = _key("cosine", "how the learning rate falls after the warm-up")
    eval_strategy: str = _key("epoch", "when to validate: epoch, steps or no")
    save_strategy: str = _key("epoch", "when to save what a resumed run needs: epoch, steps, best")
    save_total_limit: int | None = _key(2, "saved states to keep; the best one is kept as well")
    load_best_model_at_end: bool = _key(True, "end with the weights that validated best")
    metric_for_best_model: str | None = _key(
        "auto", "srcc, plcc, pair_accuracy or loss; auto: srcc, or pair_accuracy without scores"
    )
    restore_callback_states_from_checkpoint: bool = _key(
        True, "count patience on where a resumed run left off"
    )
    logging_steps: float = _key(10, "steps between lines of the log")
    logging_nan_inf_filter: bool = _key(False, "hide losses that are not finite; here they raise")
    report_to: list[str] = field(
        default_factory=lambda: ["tensorboard"],
        metadata={"help": "where the log goes: tensorboard, wandb, none, ..."},
    )
    dataloader_num_workers: int = _key(2, "processes that decode videos")
    ddp_find_unused_parameters: bool | None = _key(False, "all that learns is in every batch")
    remove_unused_columns: bool = _key(False, "must stay false: batches are made here")

    def __post_init__(self) -> None:
        if not self.output_dir:
            raise ValueError("output_dir is missing; name the folder that the run is written to")
        if self.absolute not in ABSOLUTE:
            raise ValueError(f"absolute is {self.absolute!r}; choose from {', '.join(ABSOLUTE)}")
        if not self.tie_k > 1:
            raise ValueError(f"tie_k is {self.tie_k}; it must be above 1")
        if self.early_stopping_patience is not None and not self.load_best_model_at_end:
            raise ValueError(
                "early_stopping_patience needs load_best_model_at_end: true; set it, or set "
                "early_stopping_patience: null"
            )
        if self.load_best_model_at_end and self.eval_strategy == "no":
            raise ValueError(
                "load_best_model_at_end needs validation; set eval_strategy: epoch, or "
                "load_best_model_at_end: false and early_stopping_patience: null"
            )
        if self.remove_unused_columns:
            raise ValueError("remove_unused_columns is true; batches are made here, leave it out")
        if "tensorboard" in self.report_to and find_spec("tensorboard") is None:
            raise ValueError(
                'report_to: tensorboard needs tensorboard: pip install "aigv-reward[train]", or '
                "set report_to: none"
            )
        if not torch.accelerator.is_available():
            self.dataloader_pin_memory = False
        super().__post_init__()
        check_deepspeed(self)

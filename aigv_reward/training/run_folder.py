"""The folder of a training run: what it was begun with, its saved states, how it ended."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aigv_reward.training.arguments import ModelArguments, QualityTrainingArguments

FACTS, RESULTS = "run.json", "results.json"

EXACT = (
    *("seed", "data_seed", "num_train_epochs", "max_steps", "per_device_train_batch_size"),
    *("gradient_accumulation_steps", "world_size", "dataloader_drop_last", "learning_rate"),
    *("lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "optim", "optim_args"),
    *("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm"),
    *("bf16", "fp16", "rank_weight", "rank_margin", "absolute", "absolute_weight"),
    *("pair_weight", "tie_k", "pair_scale", "metric_for_best_model", "early_stopping_patience"),
)
"""Keys of the recipe that a resumed run must share."""


def last_state(folder: Path) -> Path | None:
    """The newest saved state that is whole, `checkpoint-N`, or None.

    transformers writes `trainer_state.json` last, so a state without it was cut short.
    """
    found = {
        int(match.group(1)): path
        for path in folder.glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name))
        and (path / "trainer_state.json").exists()
    }
    return found[max(found)] if found else None


def check_folder(folder: Path, *, resume: bool) -> Path | None:
    """The state that the run goes on from, None for a new one.

    Raises:
        ValueError: the run is finished, there is nothing to resume, or something that was not
            asked to be resumed.
    """
    state = last_state(folder)
    if (folder / RESULTS).exists():
        raise ValueError(f"the run in {str(folder)!r} is finished; name another output_dir")
    if resume and state is None:
        raise ValueError(f"{str(folder)!r} has no saved state to resume; run without --resume")
    if not resume and state is not None:
        raise ValueError(
            f"{str(folder)!r} holds a run that reached {state.name}; go on with --resume, or name "
            "another output_dir"
        )
    return state


def stopped_at(state: Path) -> int | None:
    """The step at which patience ended the run that saved a state, None where it did not.

    transformers would train on until the next validation.
    """
    saved = json.loads((state / "trainer_state.json").read_text())
    callback = saved.get("stateful_callbacks", {}).get("EarlyStoppingCallback")
    if callback is None:
        return None
    waited = callback["attributes"]["early_stopping_patience_counter"]
    patience = callback["args"]["early_stopping_patience"]
    return int(saved["global_step"]) if waited >= patience else None


def run_facts(
    data_digest: str, model: ModelArguments, args: QualityTrainingArguments
) -> dict[str, Any]:
    """What decides a run's course, as JSON values."""
    recipe = {name: getattr(args, name) for name in EXACT}
    facts = {"data": data_digest, **asdict(model), **recipe}
    result: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return result


def check_facts(folder: Path, facts: Mapping[str, Any]) -> None:
    """Raise unless the run in a folder was begun with the same facts.

    Raises:
        ValueError: one differs.
    """
    begun = json.loads((folder / FACTS).read_text())
    for key, value in facts.items():
        if begun.get(key) != value:
            what = "the rows, their videos or their split" if key == "data" else key
            raise ValueError(
                f"the run in {str(folder)!r} was begun with another value of {what} "
                f"({begun.get(key)!r}, now {value!r}); resume it as it was begun, or begin a new "
                "one in another output_dir"
            )


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2) + "\n")

"""Two processes, with and without FSDP2, and one that does the work of two."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from aigv_reward.model import AIGVRewardModel

SCRIPT = "tests.training.quality.two_processes"
BEST = {"save_strategy": "epoch", "eval_strategy": "epoch", "load_best_model_at_end": True}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AIGVRewardModel.from_pretrained(folder).state_dict()


def losses(folder: Path) -> list[float]:
    """Of all steps, as the last checkpoint has them."""
    last = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    history = json.loads((last / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def test_two_processes_equal_one_that_accumulates_two_batches(
    prepare: Any, mos: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """Gradients are means over the same micro-batches either way.

    Random views of one encoder are drawn by row, wherever the row is read; the other encoders'
    features are computed by both processes, half each. FSDP2 also keeps sharded states, loads the
    best of them, and runs in bfloat16.
    """
    config = {
        "opinions": str(mos),
        "checkpoint": str(checkpoint),
        "train_towers": ["motion"],
        "lora_dropout": 0.0,
        "per_device_train_batch_size": 3,
        "num_train_epochs": 2,
        "learning_rate": 1e-3,
        "activation_checkpointing": True,
        "save_strategy": "no",
        "load_best_model_at_end": False,
        "early_stopping_patience": None,
        "validation_fraction": 0.25,
        "test_fraction": 0.25,
        "dataloader_num_workers": 0,
        "logging_steps": 1,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    one = prepare(gradient_accumulation_steps=2, **config)
    one.train()
    expected = {name: value.clone() for name, value in one.trainer.model.state_dict().items()}
    alone = tmp_path / "alone"
    best = prepare(gradient_accumulation_steps=2, **config | BEST, output_dir=str(alone))
    best.train()

    sharded = {"fsdp": True, "fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT"}}
    cases: dict[str, dict[str, Any]] = {
        "launched": {},
        "sharded": sharded | BEST,
        "bf16": {"fsdp": True, "bf16": True, "max_steps": 2, "activation_checkpointing": False},
    }
    for name, more in cases.items():
        own = {"output_dir": str(tmp_path / name), "feature_cache": str(tmp_path / "features")}
        (tmp_path / f"{name}.json").write_text(json.dumps(config | more | own))
    ran = subprocess.run(
        [sys.executable, "-m", SCRIPT, *(tmp_path / f"{name}.json" for name in cases)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[3],
    )
    assert ran.returncode == 0, ran.stderr
    digests = [line.split()[2] for line in ran.stdout.splitlines() if line.startswith("rank ")]
    assert len(digests) == 2 and digests[0] == digests[1]

    start, found = weights(checkpoint), weights(tmp_path / "launched")
    assert_close(found, expected)
    moved = found["motion.stem.conv.weight"] - start["motion.stem.conv.weight"]
    assert moved.abs().max() > 1e-3
    results = json.loads((tmp_path / "launched" / "results.json").read_text())
    assert results["steps"] == one.trainer.state.global_step

    torch.testing.assert_close(losses(tmp_path / "sharded"), losses(alone), rtol=1e-4, atol=1e-5)
    assert_close(weights(tmp_path / "sharded"), weights(alone))
    trained = weights(tmp_path / "bf16")
    assert all(bool(torch.isfinite(value).all()) for value in trained.values())
    assert not torch.equal(trained["motion.stem.conv.weight"], start["motion.stem.conv.weight"])


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=0, atol=2e-5, msg=lambda m, n=name: n + m
        )

"""Two processes, and one that does the work of two."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from aigv_reward.model import AIGVRewardModel


def test_two_processes_equal_one_that_accumulates_two_batches(
    prepare, mos: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """Gradients are means over the same micro-batches either way.

    Random views of one encoder are drawn by row, wherever the row is read; the other encoders'
    features are computed by both processes, half each.
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
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
    }
    one = prepare(gradient_accumulation_steps=2, **config)
    one.train()
    launched = {
        **config,
        "output_dir": str(tmp_path / "launched"),
        "feature_cache": str(tmp_path / "features"),
    }
    (tmp_path / "config.json").write_text(json.dumps(launched))
    script = Path(__file__).with_name("two_processes.py")
    ran = subprocess.run(
        [sys.executable, script, tmp_path / "config.json"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    digests = [line.split()[2] for line in ran.stdout.splitlines() if line.startswith("rank ")]
    assert len(digests) == 2 and digests[0] == digests[1]

    expected = one.trainer.model.state_dict()
    found = AIGVRewardModel.from_pretrained(tmp_path / "launched").state_dict()
    start = AIGVRewardModel.from_pretrained(checkpoint).state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=0, atol=2e-5, msg=lambda m, n=name: n + m
        )
    moved = found["motion.stem.conv.weight"] - start["motion.stem.conv.weight"]
    assert moved.abs().max() > 1e-3
    results = json.loads((tmp_path / "launched" / "results.json").read_text())
    assert results["steps"] == one.trainer.state.global_step

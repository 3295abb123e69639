"""Two processes, with and without FSDP2, and one that does the work of two."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = "tests.integrations.finetune.two_processes"
TRAINERS = ("backprop", "grpo", "dpo", "nft")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the script filled."""
    folder = tmp_path_factory.mktemp("launched")
    script = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", SCRIPT, folder],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=Path(__file__).parents[3],
    )
    assert script.returncode == 0, script.stderr[-3000:]
    return folder


def logged(folder: Path, name: str) -> dict[str, list[dict[str, float]]]:
    steps: dict[str, list[dict[str, float]]] = json.loads((folder / f"{name}.json").read_text())
    return steps


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.stem} {key}": weights
        for path in folder.glob("*lora_weights.safetensors")
        for key, weights in load_file(path).items()
    }


def assert_same(found: Any, expected: Any) -> None:
    assert len(found) == len(expected)
    for now, then in zip(found, expected, strict=True):
        assert now == {name: pytest.approx(then[name], rel=1e-3, abs=1e-5) for name in now}


@pytest.mark.parametrize("name", ["two", "sharded"])
@pytest.mark.parametrize("kind", TRAINERS)
def test_two_processes_equal_one(ran: Path, name: str, kind: str) -> None:
    """The same prompts, noises, losses, gradients and LoRA, whoever does them."""
    one = logged(ran, "one")[kind]
    assert len(one) == 2
    assert_same(logged(ran, name)[kind], one)
    found, expected = saved(ran / name / kind / "end"), saved(ran / "one" / kind / "end")
    assert found.keys() == expected.keys()
    for key, weights in expected.items():
        torch.testing.assert_close(found[key], weights, rtol=1e-3, atol=1e-5, msg=key)
    assert any(
        float(weights.abs().max()) > 1e-3 for key, weights in found.items() if "lora_B" in key
    )


def test_a_dropped_group_does_not_hold_up_the_others(ran: Path) -> None:
    for kind in ("grpo", "nft"):
        dropped = [step["groups/dropped"] for step in logged(ran, "sharded")[kind]]
        assert 0 < sum(dropped) < len(dropped), kind


def test_a_sharded_run_resumes(ran: Path) -> None:
    """Exactly; and its checkpoint holds no frozen weights."""
    sharded = logged(ran, "sharded")
    assert sharded["resumed"] == sharded["nft"]
    files = {path.name for path in (ran / "sharded" / "nft" / "checkpoint-1").iterdir()}
    assert {"pytorch_lora_weights.safetensors", "old_policy.safetensors", "optimizer.bin"} <= files
    assert not any(name.startswith("pytorch_model") for name in files)

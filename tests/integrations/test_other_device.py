"""Hooks and trainers on an accelerator, or a pretended one for lack of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HOOKS = {"best_of_n", "RewardFilter", "steer", "RewardGuidance"}


def test_hooks_and_a_trainer_on_another_device(tmp_path: Path) -> None:
    """The rewards, losses and gradients of the CPU; a resumed run too."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.integrations.on_other_device",
            tmp_path,
            "nft",
            "ltx",
        ],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    result = json.loads((tmp_path / "found.json").read_text())
    cpu, elsewhere = result["cpu"]["ltx"], result["elsewhere"]["ltx"]
    assert cpu.keys() == elsewhere.keys() == HOOKS | {"nft"}
    for name, values in cpu.items():
        assert values and elsewhere[name] == pytest.approx(values, rel=1e-3, abs=1e-5), name

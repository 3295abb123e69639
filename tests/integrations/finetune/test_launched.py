"""Two processes, and one that does the work of two."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("two_processes.py")


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """The same prompts, noises, losses and gradients, whoever does them."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, tmp_path],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    one, two = (json.loads((tmp_path / f"{count}.json").read_text()) for count in (1, 2))
    assert one.keys() == two.keys() == {"backprop", "grpo", "dpo", "nft"}
    for kind in one:
        for first, second in zip(one[kind], two[kind], strict=True):
            for name, value in first.items():
                assert second[name] == pytest.approx(value, rel=1e-3, abs=1e-5), (kind, name)

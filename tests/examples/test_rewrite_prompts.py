"""The example that trains a prompt rewriter, on its tiny models."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_it_trains_and_saves_a_rewriter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    out = tmp_path / "rewriter"
    command = ["rewrite_prompts.py", "--steps", "2", "--group", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    runpy.run_path(str(EXAMPLES / "rewrite_prompts.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "mean reward: first 1 steps" in printed
    assert "'a cat surfing' -> " in printed
    assert (out / "model.safetensors").is_file()

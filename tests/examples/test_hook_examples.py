"""The examples of the hooks for diffusers, on the tiny pipeline."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    "name, options, printed, files",
    [
        ("best_of_n", ["--n", "3"], "best", {"candidates.png", "best.mp4"}),
        (
            "filter_generation",
            ["--candidates", "1", "--minimum", "overall=0"],
            "1 of 1 kept",
            {"seed_0.mp4"},
        ),
        ("steer_generation", ["--particles", "2"], "steered  mean", {"steered.mp4"}),
        ("guide_generation", ["--start", "0.8"], "dimension", {"plain.mp4", "guided.mp4"}),
    ],
)
def test_an_example_runs(
    name: str,
    options: list[str],
    printed: str,
    files: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *options, "--out", str(out)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert printed in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} == files

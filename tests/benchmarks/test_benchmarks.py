from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

ROWS = {
    "default": ("model / decoding the whole file", "model / file to views"),
    "views": ("480p, published sampling: file to views / decoding", "720p, bilinear"),
    "questions": ("2 LLM layers: four scores / one", "32 LLM layers", "text prompt"),
    "gradients": ("forward and backward to the pixels / forward", "gradient with checkpointing"),
    "hooks": ("best_of_n, n=4 / four plain calls", "through the denoiser", "checkpointed, chunked"),
    "corpus": ("local 1 / plain loop of score", "Ray / local engine", "the same to the bit"),
    "published": ("ours / published", "bf16 on a CPU", "bf16 on a GPU"),
    "finetune_gains": ("| nft | toy | ltx |", "nft, toy: ", "runs rise"),
}
NOT_TIMED = ("finetune_gains",)


@pytest.mark.parametrize("name", ROWS)
def test_every_script_runs_and_prints_its_rows(
    name: str, scripts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(scripts / f"{name}.py")
    repeats = [] if name in NOT_TIMED else ["--repeats", "1"]
    monkeypatch.setattr(sys, "argv", [script, "--small", *repeats])
    runpy.run_path(script, run_name="__main__")
    table = capsys.readouterr().out
    for words in ROWS[name]:
        assert words in table

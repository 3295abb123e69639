from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

ROWS = {
    "default": ("model / decoding the whole file", "model / file to views"),
    "views": ("480p, published sampling: file to views / decoding", "720p, bilinear"),
    "questions": ("2 LLM layers: four scores / one", "32 LLM layers", "text prompt"),
    "gradients": ("forward and backward to the pixels / forward", "gradient with checkpointing"),
    "hooks": ("best_of_n, n=4 / four plain calls", "through the denoiser", "checkpointed, chunked"),
    "corpus": ("local 1 / plain loop of score", "Ray / local engine", "the same to the bit"),
    "published": ("ours / published", "bf16 on a CPU", "bf16 on a GPU"),
    "live_memory": ("| step | 5x32x48 |", "a window of 2 latent frames | 0."),
    "finetune_gains": ("| nft | toy | ltx |", "nft, toy: ", "runs rise"),
}
NOT_TIMED = ("finetune_gains", "live_memory")


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


def test_live_tensors_are_counted_until_they_are_freed(scripts: Path) -> None:
    live_memory = runpy.run_path(str(scripts / "live_memory.py"))
    with live_memory["LiveTensors"]() as live:
        first = torch.empty(256, device="meta", requires_grad=True)  # 1024 bytes
        second = first * 2
        assert live.now == 2048
        view = second[:4]
        assert live.now == 2048
        (second * second).sum().backward()  # the square, the sum, and their gradients come and go
        assert live.peak > 4096
        assert live.now == 3 * 1024  # first, its gradient and second
        del second
        assert live.now == 3 * 1024  # the view holds it
        del view
        assert live.now == 2 * 1024
        small = torch.empty(1, device="meta")
        assert live.now == 2 * 1024 + 512  # a block
        del small
    query = torch.empty(1, 2, 1000, 64, device="meta", requires_grad=True)
    with live_memory["LiveTensors"]() as live, live_memory["flash_attention"]():
        out = torch.nn.functional.scaled_dot_product_attention(query, query, query)
        assert live.peak < 4 * 2 * 1000 * 64 * 4  # not the 2 x 1000 x 1000 of its weights
        out.sum().backward()
    assert query.grad is not None and query.grad.shape == query.shape

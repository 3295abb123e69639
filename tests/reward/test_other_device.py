"""On an accelerator, or a pretended one: no float64, and nothing stays on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aigv_reward.distortions import encode_mp4


def test_a_reward_on_another_device_scores_as_on_the_cpu(
    light_checkpoint: Path, tmp_path: Path
) -> None:
    """In a process of its own: that torch knows the device cannot be undone."""
    draw = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (20, 3, 64, 96), generator=draw, dtype=torch.uint8)
    encode_mp4(tmp_path / "clip.mp4", frames, 8.0)
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.reward.on_other_device",
            tmp_path / "clip.mp4",
            light_checkpoint,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    result = json.loads(ran.stdout)
    assert result["refused"]  # that tensors of two devices meet
    cpu, elsewhere = result["cpu"], result["elsewhere"]
    assert cpu.keys() == elsewhere.keys() and len(cpu) == 4
    for name, expected in cpu.items():
        tolerance = 2e-2 if name == "bfloat16" else 2e-5
        for found, values in zip(elsewhere[name], expected, strict=True):
            assert found == pytest.approx(values, abs=tolerance), name

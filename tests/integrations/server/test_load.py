"""The load test of the benchmarks, smaller: nothing is lost, nothing is wrong."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

import aigv_reward


@pytest.fixture
def light(tmp_path: Path) -> Path:
    """The bundled default, looking at fewer frames: a quarter of its time."""
    folder = tmp_path / "light"
    shutil.copytree(Path(aigv_reward.__file__).parent / "checkpoints" / "lite", folder)
    config = json.loads((folder / "config.json").read_text())
    for view, frames in (("key_frames", 1), ("fragments", 2), ("fast", 8)):
        config["sampling"][view]["num_frames"] = frames
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_mix_of_requests_and_a_killed_worker(light: Path) -> None:
    path = Path(__file__).parents[3] / "benchmarks" / "serve.py"
    spec = importlib.util.spec_from_file_location("serve_load", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["serve_load"] = script
    try:
        spec.loader.exec_module(script)
        load = script.run_load(requests=150, at_once=32, clips=2, checkpoint=str(light))
    finally:
        del sys.modules["serve_load"]
    good = sum(load.sent[kind] for kind in ("file", "frames", "path", "slow"))
    assert load.wrong == []
    assert set(load.sent) == set(script.MIX)
    assert load.scored == good
    assert load.refused == 150 - good
    assert load.memory < 4 << 30
    assert load.server_memory < 400 << 20

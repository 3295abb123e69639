"""The load test of the benchmarks, smaller: nothing is lost, nothing is wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def test_a_mix_of_requests_and_a_killed_worker(light_checkpoint: Path) -> None:
    path = Path(__file__).parents[3] / "benchmarks" / "serve.py"
    spec = importlib.util.spec_from_file_location("serve_load", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["serve_load"] = script
    try:
        spec.loader.exec_module(script)
        load = script.run_load(requests=64, at_once=32, clips=2, checkpoint=str(light_checkpoint))
    finally:
        del sys.modules["serve_load"]
    good = sum(load.sent[kind] for kind in ("file", "frames", "path", "slow"))
    assert load.wrong == []
    assert set(load.sent) == set(script.MIX)
    assert load.scored == good
    assert load.refused == 64 - good
    assert load.memory < 4 << 30
    assert load.server_memory < 400 << 20

"""On Ray the table is that of one machine, whatever dies."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ray_scorer import RaySettings, planned, run_on_ray, value_of
from typer.testing import CliRunner

from aigv_reward.cli import app
from aigv_reward.corpus import ElsewhereSettings, Limits, PoolError, Run, plan_corpus, score_corpus
from aigv_reward.distortions import encode_mp4, render_scene
from aigv_reward.integrations.ray import cluster as cluster_module
from aigv_reward.integrations.ray import score_corpus_on_ray, shard_driver

Texts = Callable[..., Path]
Files = Callable[[Path], dict[str, bytes]]
SCRIPT = Path(__file__).with_name("ray_scorer.py")


def rows_of(run: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = run.finished().to_pylist()
    assert [row["row_id"] for row in rows] == [
        item.row_id(place) for place, item in enumerate(run.items)
    ]
    return rows


@pytest.mark.usefixtures("cluster_address")
def test_the_command_gives_the_table_of_the_local_engine(
    tmp_path: Path, shard_files: Files
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for seed in range(2):
        buffer = io.BytesIO()
        frames = render_scene(seed, num_frames=6, height=48, width=64).frames
        encode_mp4(buffer, frames, 8.0)
        (folder / f"{seed}.mp4").write_bytes(buffer.getvalue())
    (folder / "2.mp4").write_text("no video")
    command = ["score", str(folder), "--out", str(tmp_path / "ray"), "--engine", "ray"]
    asked = ["--device", "cpu", "--format", "json", "--max-error-rate", "1"]
    with ThreadPoolExecutor(1) as beside:
        local = beside.submit(
            score_corpus, str(folder), tmp_path / "local", device="cpu", workers=1
        )
        said = CliRunner().invoke(app, [*command, *asked], catch_exceptions=False)
    assert local.result().summary().total == 3
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout) == {
        "run": str(tmp_path / "ray"),
        "total": 3,
        "ok": 2,
        "error": 1,
        "timeout": 0,
        "crash": 0,
    }
    assert shard_files(tmp_path / "ray") == shard_files(tmp_path / "local")
    assert isinstance(rows_of(Run(tmp_path / "ray"))[0]["overall"], float)


@pytest.mark.usefixtures("cluster_address")
def test_whatever_a_clip_does_it_is_one_row(texts: Texts, tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.mkdir()
    folder = texts("a", "KILL", "b", "LOOP", "BAD", "c", f"ONCE {once}", "ACTOR", "EAT")
    run = run_on_ray(folder, tmp_path / "run", limits=Limits(item_timeout=3.0, item_memory=0.0625))
    rows = rows_of(run)
    assert [row["status"] for row in rows] == [
        *("ok", "crash", "ok"),
        *("timeout", "error", "ok"),
        *("ok", "crash", "crash"),
    ]
    assert [row["overall"] is None for row in rows] == [row["status"] != "ok" for row in rows]
    assert rows[1]["error"].startswith("its worker ended twice (killed by SIGKILL)")
    assert rows[3]["error"] == "it took more than 3 s; raise --item-timeout"
    assert rows[7]["error"].startswith("its actor ended twice (")
    assert rows[7]["error"].endswith("); look for a damaged or huge file")
    assert rows[8]["error_type"] == "MemoryLimit"
    summary = run.summary()
    assert (summary.total, summary.ok, summary.crash) == (9, 4, 3)
    contents = [path.read_bytes() for path in sorted(folder.iterdir())]
    for content, row in zip(contents, rows, strict=True):
        if row["status"] == "ok":
            assert row["overall"] == value_of(content)


def test_kill_9_of_the_driver_and_resume(
    texts: Texts, tmp_path: Path, cluster_address: str, shard_files: Files
) -> None:
    folder = texts(*map(str, range(24)))
    out = tmp_path / "run"
    driver = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), str(out), "0.1"],
        env=os.environ | {"RAY_ADDRESS": cluster_address},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 40
    while len(list(out.glob("shards/*.parquet"))) < 2 and time.monotonic() < deadline:
        assert driver.poll() is None
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    kept = shard_files(out)
    assert 2 <= len(kept) < 8
    run_on_ray(folder, out, part=(1, 2))
    assert all(shard % 2 for shard in Run(out).missing())
    assert len(rows_of(run_on_ray(folder, out))) == 24
    whole = planned(folder, tmp_path / "whole")
    values = [value_of(path.read_bytes()) for path in sorted(folder.iterdir())]
    for shard in range(8):
        videos = range(3 * shard, 3 * shard + 3)
        whole.commit(shard, {n: {"status": "ok", "overall": values[n]} for n in videos})
    assert shard_files(out) == shard_files(whole.folder)
    assert kept.items() <= shard_files(out).items()


@pytest.mark.usefixtures("cluster_address")
def test_a_model_that_cannot_be_loaded_ends_the_run(texts: Texts, tmp_path: Path) -> None:
    with pytest.raises(PoolError, match=r"cannot be loaded \(RuntimeError: no such weights\)"):
        run_on_ray(texts("a"), tmp_path / "run", settings=RaySettings(fail=True))


def test_a_machine_that_does_not_see_the_run_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aigv_reward.integrations.ray.shard_actor import ShardActor

    main = ModuleType("__main__")  # an actor's own: it is changed there
    main.__file__ = "of a worker"
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(ValueError, match=r"does not see the run .*; put it, and the videos, on a"):
        ShardActor(str(tmp_path / "nowhere"), RaySettings(), Limits(), 0).begin()


def test_actors_that_cannot_start_end_the_run(
    texts: Texts, tmp_path: Path, cluster_address: str
) -> None:
    from aigv_reward.corpus import Meter

    class Broken:
        def __init__(self) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        def begin(self) -> None: ...

    run = planned(texts("a"), tmp_path / "run")
    kind = cluster_module.ray.remote(Broken).options(num_cpus=1)
    driver = shard_driver.ShardDriver(run, kind.remote, 1, Meter(1, 0))
    with pytest.raises(PoolError, match="3 actors in a row ended before they began"):
        driver.score((1, 1))


@pytest.mark.usefixtures("cluster_address")
def test_an_actor_a_gpu(texts: Texts, tmp_path: Path) -> None:
    """No GPU is touched: the scorer says which one its process sees."""
    clips = texts(*["GPU"] * 12)
    run = run_on_ray(clips, tmp_path / "run", settings=RaySettings(0.2), device="cuda", count=2)
    shards = [[row["overall"] for row in rows_of(run)[3 * k : 3 * k + 3]] for k in range(4)]
    assert all(len(set(seen)) == 1 for seen in shards)
    assert {seen[0] for seen in shards} == {0.0, 1.0}


def test_one_cpu_stays_free_and_memory_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    has = {"CPU": 8.0, "GPU": 0.0, "memory": 30e9}
    monkeypatch.setattr(cluster_module, "ray", SimpleNamespace(cluster_resources=lambda: has))
    assert cluster_module.room("cpu", 10**9) == 7
    assert cluster_module.room("cpu", 10**10) == 3
    assert cluster_module.default_device() == "cpu"
    with pytest.raises(ValueError, match=r"no GPU \(it has CPU 8, GPU 0\); say cpu"):
        cluster_module.check_device("cuda")
    with pytest.raises(ValueError, match=r"'cuda:1', but Ray gives each actor its GPU; say cuda"):
        cluster_module.check_device("cuda:1")
    has |= {"CPU": 1.0, "GPU": 4.0}
    assert cluster_module.room("cpu", 10**9) == 1
    assert cluster_module.room("cuda", 10**10) == 4
    assert cluster_module.default_device() == "cuda"


@pytest.mark.usefixtures("cluster_address")
def test_a_data_set_in_memory_is_refused(tmp_path: Path) -> None:
    from datasets import Dataset, Features, Value, Video

    rows = {"video": [{"bytes": b"x", "path": None}], "prompt": ["a"]}
    features = Features({"video": Video(decode=False), "prompt": Value("string")})
    with pytest.raises(ValueError, match="save it with save_to_disk and name the folder"):
        score_corpus_on_ray(Dataset.from_dict(rows, features=features), tmp_path / "run")


def test_the_engine_is_of_runs() -> None:
    said = CliRunner().invoke(app, ["score", "a.mp4", "--engine", "ray"])
    assert said.exit_code == 2
    assert "--engine ray is for runs; add --out RUN" in said.stderr


def test_a_cluster_that_does_not_answer_is_no_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at head:1")  # after 20 s of trying

    ray = SimpleNamespace(is_initialized=lambda: False, init=refuse)
    monkeypatch.setattr(cluster_module, "ray", ray)
    monkeypatch.setenv("RAY_ADDRESS", "head:1")
    command = ["score", "a.mp4", "--out", str(tmp_path / "run"), "--engine", "ray"]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 1
    assert "error: the Ray cluster head:1 cannot be joined (Failed to connect" in said.stderr


def test_telemetry_is_off() -> None:
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_another_machine_must_have_the_same_libraries_and_checkpoint(
    texts: Texts, tmp_path: Path
) -> None:
    plan = plan_corpus(str(texts("a")), tmp_path / "run", device="cpu")
    here = ElsewhereSettings.of(plan, None)
    other = here.versions | {"torch": "1.0"}  # type: ignore[operator]
    with pytest.raises(ValueError, match=r'version.torch was "1.0" and is .* on this machine; ins'):
        ElsewhereSettings(here.settings, None, here.sha256, other).load()
    with pytest.raises(ValueError, match=r"has the sha256 .* the plan other; give every machine"):
        ElsewhereSettings(here.settings, None, "other", here.versions).load()

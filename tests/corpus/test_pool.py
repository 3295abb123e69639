"""Whatever a video does to its worker, it becomes one row and the others keep theirs."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from light_scorer import LightSettings, light_run

from aigv_reward.corpus import Limits, ShardWorker
from aigv_reward.corpus.pool import PoolError

Texts = Callable[..., Path]


def statuses(run) -> list[str]:
    return run.finished()["status"].to_pylist()


@pytest.mark.parametrize(("batch_size", "ahead", "workers"), [(1, 0, 1), (2, 2, 2)])
def test_killers_loops_and_failures_are_one_row_each(
    texts: Texts, tmp_path: Path, batch_size: int, ahead: int, workers: int
) -> None:
    folder = texts("a", "KILL", "b", "LOOP", "BAD", "c", "d")
    run = light_run(
        folder, tmp_path / "run", timeout=2.0, batch_size=batch_size, ahead=ahead, workers=workers
    )
    assert statuses(run) == ["ok", "crash", "ok", "timeout", "error", "ok", "ok"]
    summary = run.summary()
    assert (summary.ok, summary.error, summary.timeout, summary.crash) == (4, 1, 1, 1)
    assert summary.total == summary.planned == 7
    rows = run.finished().to_pylist()
    assert rows[1]["error"].startswith("its worker ended twice (killed by SIGKILL)")
    assert rows[3]["error"] == "it took more than 2 s; raise --item-timeout"
    assert [row["overall"] is None for row in rows] == [row["status"] != "ok" for row in rows]


def test_a_video_that_takes_all_memory_is_one_row(
    texts: Texts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="aigv_reward.corpus.pool")
    folder = texts("a", "EAT", "b", "c")
    run = light_run(folder, tmp_path / "run", workers=1, memory=0.25, batch_size=2, ahead=1)
    assert statuses(run) == ["ok", "crash", "ok", "ok"]
    row = run.finished().to_pylist()[1]
    # No measured figure, so that the shard is the same whenever it is scored.
    assert row["error"] == (
        "it took more than 0.25 GiB beyond the model; look for a damaged or huge file, or raise "
        "--item-memory"
    )
    (held,) = re.findall(r"killed with ([0-9.]+) GiB beyond the model", caplog.text)
    assert 0.25 <= float(held) < 2.0
    assert (row["error_type"], row["overall"]) == ("MemoryLimit", None)


def test_limits_that_no_video_can_keep_are_refused() -> None:
    with pytest.raises(ValueError, match="item_timeout is 0; give seconds above 0"):
        Limits(item_timeout=0)
    with pytest.raises(ValueError, match="item_memory is -1; give GiB above 0"):
        Limits(item_memory=-1)


def test_a_worker_that_dies_once_costs_no_row(texts: Texts, tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.mkdir()
    run = light_run(texts("a", f"ONCE {once}", "b"), tmp_path / "run", workers=1)
    assert statuses(run) == ["ok"] * 3


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_table_does_not_depend_on_the_number_of_workers(
    texts: Texts, tmp_path: Path, workers: int
) -> None:
    folder = texts(*"abcdefgh")
    one = light_run(folder, tmp_path / "one", workers=1)
    many = light_run(folder, tmp_path / "many", workers=workers, ahead=1)
    for shard in range(3):
        assert one.shard_path(shard).read_bytes() == many.shard_path(shard).read_bytes()


def test_workers_that_cannot_start_end_the_run(texts: Texts, tmp_path: Path) -> None:
    log = tmp_path / "log"
    folder = texts(*"abc")
    with pytest.raises(PoolError, match="3 workers in a row ended while they loaded the model"):
        light_run(folder, tmp_path / "run", settings=LightSettings(fail="die", log=str(log)))
    assert len(log.read_text().splitlines()) <= 4  # no storm
    with pytest.raises(PoolError, match="cannot be loaded \\(RuntimeError: no such weights\\)"):
        light_run(folder, tmp_path / "run", settings=LightSettings(fail="raise"))
    assert statuses(light_run(folder, tmp_path / "run")) == ["ok"] * 3


def test_many_killers_are_slowed_down_and_recorded(texts: Texts, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = light_run(
        texts("KILL", "KILL", "a"),
        tmp_path / "run",
        workers=1,
        settings=LightSettings(log=str(log)),
    )
    assert statuses(run) == ["crash", "crash", "ok"]
    assert len(log.read_text().splitlines()) == 5  # two a killer, and one that scores


def test_what_cannot_be_sent_to_a_worker_is_said(texts: Texts, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Local(LightSettings):
        """Of no module that a worker could import."""

    with pytest.raises((pickle.PicklingError, AttributeError), match=r"<locals>\.Local"):
        light_run(texts("a"), tmp_path / "run", settings=Local())


def test_a_pool_that_is_kept_loads_its_model_once(texts: Texts, tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = light_run(texts(*"abcdefg"), tmp_path / "run", part=(1, 3), workers=1)
    worker = ShardWorker(run.folder, LightSettings(log=str(log)), limits=Limits(item_timeout=20.0))
    try:
        assert [worker.score(shard) for shard in range(3)] == [0, 0, 0]
        row = run.finished().to_pylist()[4]
        assert worker.measure(4) == {"status": "ok", "overall": row["overall"]}
    finally:
        worker.close()
    assert len(log.read_text().splitlines()) == 1
    assert statuses(run) == ["ok"] * 7

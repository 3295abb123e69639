"""A shard's file is the record: whole or absent, whatever ends the run."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from light_scorer import LightSettings, light_run

from aigv_reward.cli.score_run import _tell
from aigv_reward.corpus import Run
from aigv_reward.corpus.claims import Claims
from aigv_reward.corpus.item import Item
from aigv_reward.corpus.rows import SCHEMA
from aigv_reward.corpus.run_creation import create_run
from aigv_reward.corpus.shard_feed import score_shard

Texts = Callable[..., Path]
SCRIPT = Path(__file__).with_name("light_scorer.py")
REPOSITORY = Path(__file__).parents[2]


def start(folder: Path, out: Path, delay: float = 0.02) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), str(out), str(delay)],
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "shards").iterdir())}


def test_kill_9_at_random_moments_loses_and_changes_nothing(texts: Texts, tmp_path: Path) -> None:
    folder = texts(*map(str, range(60)))
    whole = light_run(folder, tmp_path / "whole")
    moments = random.Random(0)
    kept = 0
    for _ in range(12):
        process = start(folder, tmp_path / "run")
        time.sleep(moments.uniform(0.1, 1.2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shards = list((tmp_path / "run").glob("shards/*.parquet"))
        assert len(shards) >= kept
        kept = len(shards)
    assert start(folder, tmp_path / "run").wait() == 0
    assert files(tmp_path / "run") == files(tmp_path / "whole")
    ids = Run(tmp_path / "run").finished()["row_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 60
    assert ids == [item.row_id(place) for place, item in enumerate(whole.items)]


def test_workers_end_with_a_pool_that_was_killed(texts: Texts, tmp_path: Path) -> None:
    process = start(texts("LOOP", "LOOP"), tmp_path / "run")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 90
    workers: list[str] = []
    while len(workers) < 3 and time.monotonic() < deadline:  # and multiprocessing's tracker
        workers = children.read_text().split()
        time.sleep(0.05)
    time.sleep(1.0)
    os.kill(process.pid, signal.SIGKILL)  # the pool alone, not its group
    process.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    alive = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert [pid for pid in alive if "Z" not in Path(f"/proc/{pid}/stat").read_text()] == []


def test_two_runners_share_a_run(texts: Texts, tmp_path: Path) -> None:
    folder = texts(*map(str, range(30)))
    whole = light_run(folder, tmp_path / "whole")
    both = [start(folder, tmp_path / "run", 0.05) for _ in range(2)]
    assert [process.wait(timeout=240) for process in both] == [0, 0]
    assert files(tmp_path / "run") == files(whole.folder)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "claims.lock",
        "items.jsonl",
        "plan.json",
        "shards",
    ]


def test_parts_make_the_whole(texts: Texts, tmp_path: Path) -> None:
    folder = texts(*map(str, range(10)))
    whole = light_run(folder, tmp_path / "whole")
    for number in (1, 2, 3):
        run = light_run(folder, tmp_path / "run", part=(number, 3), workers=1)
        assert run.summary((number, 3)).total == run.summary((number, 3)).planned
        if number < 3:
            with pytest.raises(
                ValueError, match=r"is not finished: .* shards are missing; run the"
            ):
                run.finished()
    assert files(tmp_path / "run") == files(whole.folder)


def test_ctrl_c_leaves_a_run_that_goes_on(texts: Texts, tmp_path: Path) -> None:
    folder = texts(*map(str, range(40)))
    process = start(folder, tmp_path / "run", 0.25)
    deadline = time.monotonic() + 90
    while not list((tmp_path / "run").glob("shards/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=90) != 0
    assert 0 < len(files(tmp_path / "run")) < 14
    assert light_run(folder, tmp_path / "run").summary().total == 40


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("content", r"\(bytes, time of change\) of video 1, '01.mp4', was .* and is "),
        ("removed", r"video 2, '02.mp4', is no longer in the input"),
        ("added", r"video 3, '03.mp4', was not in the input"),
        ("weights", r"checkpoint.sha256 was \"light\" and is \"other\""),
        ("shard_size", r"shard_size was 3 and is 2"),
    ],
)
def test_another_plan_is_refused(texts: Texts, tmp_path: Path, change: str, said: str) -> None:
    folder = texts(*"abc")
    light_run(folder, tmp_path / "run")
    plan: dict[str, object] = {}
    if change == "content":
        (folder / "01.mp4").write_text("changed")
    elif change == "removed":
        (folder / "02.mp4").unlink()
    elif change == "added":
        (folder / "03.mp4").write_text("d")
    elif change == "weights":
        plan = {"checkpoint": {"sha256": "other"}}
    else:
        plan = {"shard_size": 2}
    with pytest.raises(ValueError, match=f"was planned otherwise: .*{said}"):
        light_run(folder, tmp_path / "run", **plan)


@pytest.mark.parametrize("spelled", ["./in/00.mp4", "in/../in/*.mp4", "in"])
def test_another_spelling_of_the_same_input_goes_on(
    texts: Texts, tmp_path: Path, spelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts("a")
    monkeypatch.chdir(tmp_path)
    run = light_run("in/00.mp4", tmp_path / "run", workers=1)
    before = files(run.folder)
    assert light_run(spelled, tmp_path / "run", workers=1).missing() == []
    (run.folder / "shards" / "000000.parquet").unlink()
    light_run(spelled, tmp_path / "run", workers=1)
    assert files(run.folder) == before


def test_another_name_of_the_same_checkpoint_goes_on(texts: Texts, tmp_path: Path) -> None:
    folder = texts("a")
    one: dict[str, object] = {"sha256": "light", "name": "lite"}
    light_run(folder, tmp_path / "run", checkpoint=one)
    run = light_run(folder, tmp_path / "run", checkpoint=one | {"name": "/folders/lite/"})
    assert run.plan["checkpoint"]["name"] == "lite"
    with pytest.raises(ValueError, match=r"checkpoint\.sha256 was"):
        light_run(folder, tmp_path / "run", checkpoint=one | {"sha256": "dark"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}", r"is no run \(its plan.json is not one that aigv-reward wrote\); name the folder"),
        (b"not json", r"is no run \(its plan.json is not one"),
        (b"\xff", r"is no run \(its plan.json is not one"),
        (b'{"checkpoint": {}, "input": 3, "shard_size": 1}', r"is no run \(its plan.json"),
        (
            b'{"checkpoint": {}, "input": {"total": 1}, "shard_size": 1, "format": 2}',
            "has the format 2, and this version of aigv-reward reads 1; use the version that made",
        ),
    ],
)
def test_a_plan_of_another_program_or_version_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        Run(tmp_path)


def test_a_run_whose_shards_were_deleted_starts_over(texts: Texts, tmp_path: Path) -> None:
    folder = texts(*"abcd")
    run = light_run(folder, tmp_path / "run", workers=1)
    before = files(run.folder)
    shutil.rmtree(run.folder / "shards")
    assert (run.missing(), run.summary().total) == ([0, 1], 0)
    light_run(folder, tmp_path / "run", workers=1)
    assert files(run.folder) == before


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_without_locks_two_runners_do_the_work_twice(
    texts: Texts, tmp_path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    whole = light_run(texts(*"abcd"), tmp_path / "whole", workers=1)
    monkeypatch.setattr("fcntl.lockf", refuse)
    run = light_run(tmp_path / "in", tmp_path / "run", workers=1)
    assert files(run.folder) == files(whole.folder)
    with Claims(run.folder / "claims.lock") as claims:
        assert claims.take(0)
        claims.give(0)
        code = errno.EIO
        with pytest.raises(OSError, match="Input/output error"):
            claims.take(0)
        with pytest.raises(OSError, match="Input/output error"):
            claims.give(0)


def test_a_shard_that_another_runner_has_just_written_is_done(
    texts: Texts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without locks: the other renames its file, and takes ours for one that a kill has left."""
    run = light_run(texts("a"), tmp_path / "run", workers=1)
    path = run.shard_path(0)
    content = path.read_bytes()
    path.unlink()
    replace = os.replace

    def other(source: Path, target: Path) -> None:
        path.write_bytes(content)
        source.unlink()
        replace(source, target)

    monkeypatch.setattr(os, "replace", other)
    run.commit(0, {0: {"status": "ok"}})
    assert path.read_bytes() == content


def test_failed_videos_of_a_tar_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for name in ("a", "b"):
            member = tarfile.TarInfo(f"{name}.mp4")
            member.size = 3
            tar.addfile(member, io.BytesIO(b"BAD"))
    run = light_run(tmp_path / "t.tar", tmp_path / "run", workers=1)
    _tell(run, (1, 1), "table", run.folder)
    assert capsys.readouterr().err == "".join(
        f"aigv-reward: {tmp_path}/t.tar/{name}.mp4: error: it is bad\n" for name in ("a", "b")
    )


def test_a_folder_of_something_else_is_refused(texts: Texts, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds 'thesis.tex' and is no run; name a new or empty"):
        light_run(texts("a"), out)
    with pytest.raises(ValueError, match=r"is no run .*; make one with aigv-reward score"):
        Run(out)


def test_a_shard_of_another_run_is_refused(texts: Texts, tmp_path: Path) -> None:
    one = light_run(texts("a", name="one"), tmp_path / "run1")
    two = light_run(texts("a", name="two"), tmp_path / "run2")
    two.shard_path(0).write_bytes(one.shard_path(0).read_bytes())
    with pytest.raises(ValueError, match=r"does not belong to this run's plan .* delete it"):
        two.finished()


def test_rows_have_the_columns_that_are_promised(texts: Texts, tmp_path: Path) -> None:
    run = light_run(texts("a", "BAD"), tmp_path / "run", workers=1)
    table = run.finished()
    assert table.schema.equals(SCHEMA)
    first, second = table.to_pylist()
    assert first["key"] == "00.mp4" and os.fsdecode(first["path_bytes"]) == first["path"]
    assert second["overall"] is None and second["technical"] is None
    assert (second["error_type"], second["error"]) == ("ValueError", "it is bad")
    assert json.loads((run.folder / "plan.json").read_text())["input"]["total"] == 2


def test_shards_may_be_scored_without_the_pool(texts: Texts, tmp_path: Path) -> None:
    folder = texts("a", "BAD", "c", "d")
    whole = light_run(folder, tmp_path / "whole", workers=1)
    run = light_run(folder, tmp_path / "run", part=(1, 2), workers=1)
    assert run.missing() == [1]
    score_shard(run, 1, LightSettings().load())
    assert files(run.folder) == files(whole.folder)


def test_a_shard_of_a_data_set_in_memory_is_refused(tmp_path: Path) -> None:
    run = create_run(
        tmp_path / "run",
        {"shard_size": 1, "batch_size": 1, "checkpoint": {"sha256": "light"}},
        [Item(b"dataset/0/", "dataset", b"")],
    )
    with pytest.raises(ValueError, match="is of a data set in memory; save it with save_to_disk"):
        score_shard(run, 0, LightSettings().load())

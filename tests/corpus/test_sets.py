"""What a set holds of a run, whatever the lists and the videos of the run are."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from aigv_reward.cli import app
from aigv_reward.corpus import CorpusRules, Run, filter_run
from aigv_reward.corpus.inputs import find_corpus
from aigv_reward.corpus.item_source import content_sha256, open_item
from aigv_reward.corpus.rows import SCHEMA
from aigv_reward.corpus.run_creation import create_run

KEEP = CorpusRules.from_dict({"minimum": {"overall": 0.0}})
NONE = CorpusRules.from_dict({"minimum": {"overall": 99.0}})


def scored(inputs: Any, out: Path, trained: tuple[str, ...] = ("overall",)) -> Run:
    """A run whose video k has the score k."""
    plan = {
        "shard_size": 100,
        "batch_size": 1,
        "dimensions": ["overall"],
        "checkpoint": {"sha256": "made up", "trained": list(trained), "calibration": None},
    }
    run = create_run(out, plan, find_corpus(inputs).items)
    facts: dict[int, Any] = {
        place: {
            "status": "ok",
            "overall": float(place),
            "content_sha256": content_sha256(open_item(item)),
        }
        for place, item in run.items_of(0)
    }
    run.commit(0, facts)
    return run


def listed(folder: Path, *cells: dict[str, Any]) -> str:
    """A list of as many videos as there are rows of further cells."""
    lines = []
    for place, one in enumerate(cells):
        (folder / f"{place}.mp4").write_text(str(place))
        lines.append(json.dumps({"path": f"{place}.mp4", **one}))
    (folder / "list.jsonl").write_text("\n".join(lines))
    return str(folder / "list.jsonl")


def command(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([2**64 - 1, 3], pa.uint64(), [2**64 - 1, 3]),
        ([2**63, None], pa.uint64(), [2**63, None]),
        ([2**64, 3], pa.string(), [str(2**64), "3"]),
        ([2**63, -1], pa.string(), [str(2**63), "-1"]),
        ([{}, {}], pa.string(), ["{}", "{}"]),
        ([[{"a": {}}], None], pa.string(), ['[{"a": {}}]', None]),
        ([{"a": 2**63}, None], pa.string(), [f'{{"a": {2**63}}}', None]),
        (["\ud83d", "x"], pa.string(), ["\ufffd", "x"]),
        ([3, "x"], pa.string(), ["3", '"x"']),
        ([3, -(2**63)], pa.int64(), [3, -(2**63)]),
        ([True, None], pa.bool_(), [True, None]),
        ([None, None], pa.null(), [None, None]),
    ],
)
def test_any_column_of_a_list_is_in_the_set(
    tmp_path: Path, values: list[Any], kind: Any, found: list[Any]
) -> None:
    run = scored(listed(tmp_path, *({"seed": value} for value in values)), tmp_path / "run")
    filter_run(run, KEEP, tmp_path / "set")
    table = pq.read_table(tmp_path / "set" / "kept.parquet")
    assert table.schema.field("seed").type == kind
    assert table["seed"].to_pylist() == found


def test_a_set_that_is_scored_again_loses_and_doubles_no_column(tmp_path: Path) -> None:
    source: Any = listed(tmp_path, {"technical": 7, "g": "m"}, {"technical": 8, "g": "n"})
    for turn in range(3):
        filter_run(scored(source, tmp_path / f"run{turn}"), KEEP, tmp_path / f"set{turn}")
        source = str(tmp_path / f"set{turn}" / "kept.parquet")
    table = pq.read_table(source)
    assert len(set(table.column_names)) == len(table.column_names)
    rows = table.to_pylist()
    assert [row["g"] for row in rows] == ["m", "n"]
    assert [row["input_technical"] for row in rows] == [7, 8]
    assert {"input_overall", "input_input_overall", "input_path_bytes"} <= rows[0].keys()
    assert rows[0]["path_bytes"] == os.fsencode(tmp_path / "0.mp4")


def test_a_column_that_is_called_as_another_would_be_keeps_its_name(tmp_path: Path) -> None:
    cells = {"overall": 7, "input_overall": 8, "key": 9, "file_name": 10}
    run = scored(listed(tmp_path, cells, {"overall": 11}), tmp_path / "run")
    filter_run(run, KEEP, tmp_path / "set", emit="jsonl")
    first, second = map(json.loads, (tmp_path / "set" / "kept.jsonl").read_text().splitlines())
    assert (first["overall"], first["input_overall"], first["input_input_overall"]) == (0.0, 8, 7)
    assert (first["key"], first["input_key"], first["input_file_name"]) == ("0.mp4", 9, 10)
    assert second["input_input_overall"] == 11 and "input_overall" not in second


def test_an_empty_set_has_the_columns_of_any_other(tmp_path: Path) -> None:
    run = scored(listed(tmp_path, {"seed": 1}), tmp_path / "run")
    filter_run(run, KEEP, tmp_path / "all")
    filter_run(run, NONE, tmp_path / "none")
    some, none = (pq.read_table(tmp_path / name / "kept.parquet") for name in ("all", "none"))
    assert none.num_rows == 0 and none.column_names == some.column_names
    assert "seed" in none.column_names
    for name in ("overall", "technical", "path", "ordinal"):
        assert none.schema.field(name).type == SCHEMA.field(name).type


def packed(folder: Path) -> list[str]:
    """A tar and a list that hold two videos each."""
    with tarfile.open(folder / "t.tar", "w") as tar:
        for name in ("a", "b"):
            for suffix, content in (("mp4", name.encode()), ("txt", b"a cat")):
                member = tarfile.TarInfo(f"{name}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    videos = [{"bytes": b"c", "path": "c.mp4"}, {"bytes": b"d", "path": None}]
    pq.write_table(pa.table({"video": videos, "prompt": ["a dog"] * 2}), folder / "l.parquet")
    return [str(folder / "t.tar"), str(folder / "l.parquet")]


def test_videos_that_are_no_files_are_named(tmp_path: Path) -> None:
    run = scored(packed(tmp_path), tmp_path / "run")
    keys = ["t.tar/a.mp4", "t.tar/b.mp4", "l.parquet/0/c.mp4", "l.parquet/1/"]
    places = [str(tmp_path / key).rstrip("/") for key in keys]
    filter_run(run, KEEP, tmp_path / "list", emit="jsonl")
    kept = list(map(json.loads, (tmp_path / "list" / "kept.jsonl").read_text().splitlines()))
    filter_run(run, KEEP, tmp_path / "all")
    filter_run(run, NONE, tmp_path / "none")
    for rows in (
        kept,
        pq.read_table(tmp_path / "all" / "kept.parquet").to_pylist(),
        pq.read_table(tmp_path / "none" / "rejected.parquet").to_pylist(),
    ):
        assert [row["key"] for row in rows] == keys
    ran = command("best-of", run.folder, "-k", 2, "--format", "json")
    assert [json.loads(line)["video"] for line in ran.stdout.splitlines()] == places
    ran = command("best-of", run.folder, "-k", 2, "--format", "csv")
    assert [row["video"] for row in csv.DictReader(io.StringIO(ran.stdout))] == places
    ran = command("best-of", run.folder, "-k", 2)
    assert [line for line in places if line in ran.stdout] == places


@pytest.mark.parametrize(
    ("emit", "change"),
    [
        *product(["symlink", "copy", "videofolder", "webdataset"], ["removed", "overwritten"]),
        *product(["copy", "videofolder", "webdataset"], ["rewritten"]),  # links: size and time
    ],
)
def test_no_set_holds_a_video_that_was_changed(tmp_path: Path, emit: Any, change: str) -> None:
    run = scored(listed(tmp_path, {}, {}), tmp_path / "run")
    video = tmp_path / "1.mp4"
    stamp = video.stat()
    if change == "removed":
        video.unlink()
    else:
        video.write_text("changed" if change == "overwritten" else "x")
    if change == "rewritten":  # with as many bytes, and the time set back
        os.utime(video, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(ValueError, match=r"'1.mp4' was changed since it was scored, or removed; "):
        filter_run(run, KEEP, tmp_path / "set", emit=emit)
    assert not (tmp_path / "set").exists()


def test_a_video_that_cannot_be_read_any_more_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = scored(listed(tmp_path, {}), tmp_path / "run")

    def refuse(source: str) -> str:
        raise PermissionError(13, "Permission denied", source)

    monkeypatch.setattr("aigv_reward.corpus.emit.content_sha256", refuse)
    with pytest.raises(ValueError, match=r"'0.mp4' cannot be read \(Permission denied\); allow"):
        filter_run(run, KEEP, tmp_path / "set", emit="copy")


@pytest.mark.parametrize("blank", [None, "", " "])
def test_a_row_without_a_group_is_an_error_in_any_list(tmp_path: Path, blank: str | None) -> None:
    run = scored(listed(tmp_path, {"id": "p"}, {"id": blank, "g": 3}), tmp_path / "run")
    rules = CorpusRules.from_dict({"top_k": {"per": "id"}})
    with pytest.raises(ValueError, match=r"'1.mp4' \(row 1\) has no 'id' .* what it has \(g\), or"):
        filter_run(run, rules)
    ran = command("best-of", run.folder)
    assert ran.exit_code == 1
    assert "(row 0) has no 'prompt' to be grouped by; group by what it has (id), or" in ran.stderr


def test_a_run_of_files_alone_has_nothing_to_be_grouped_by(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("a")
    ran = command("best-of", scored(str(tmp_path / "a.mp4"), tmp_path / "run").folder)
    assert "its input has nothing else; score a list that has a column for it" in ran.stderr


def test_filter_says_that_its_rules_use_an_untrained_dimension(tmp_path: Path) -> None:
    run = scored(listed(tmp_path, {}), tmp_path / "run", trained=())
    (tmp_path / "rules.yaml").write_text("minimum: {overall: 0}\n")
    ran = command("filter", run.folder, "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "s")
    assert ran.exit_code == 0
    assert "the rules use what this checkpoint was not trained for: overall" in ran.stderr

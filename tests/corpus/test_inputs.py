"""What names a corpus, and that no name, however odd, loses a video."""

from __future__ import annotations

import errno
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from light_scorer import light_run

from aigv_reward.corpus.inputs import find_corpus
from aigv_reward.corpus.item_source import open_item
from aigv_reward.corpus.lists import list_items
from aigv_reward.corpus.rows import extra_of


def names(inputs: Any, **options: Any) -> list[str]:
    return [item.name for item in find_corpus(inputs, **options).items]


def test_folders_globs_and_files(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4", "sub/c.webm", ".hidden.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert names(str(tmp_path)) == ["a.mp4", "b.mp4", "sub/c.webm"]
    assert names([f"{tmp_path}/*.mp4", tmp_path / "notes.txt"]) == [
        f"{tmp_path}/{name}" for name in ("a.mp4", "b.mp4", "notes.txt")
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent", "input .*absent' does not exist; give a folder, glob, list or tar"),
        ("*.xyz", r"glob .* matches no file; quote it"),
        ("empty", "folder .* holds no video file .*; name files of another suffix"),
        ("empt*", "glob .* matches only folders that hold no video file .*; name files of another"),
        ("broken.tar", "is no tar that can be read in place .*; unpack it"),
        ("broken.parquet", "is no parquet file"),
        ("columns.csv", "line 2: no column of videos among clip, prompt; name one path or video"),
        ("rows.csv", "has no rows; give at least one"),
        ("prompt.jsonl", "line 1: prompt is 7; give text, or leave it empty"),
        ("video.jsonl", "line 1: the video is None; give the path of a file"),
    ],
)
def test_what_names_no_corpus(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.tar").write_text("no tar")
    (tmp_path / "broken.parquet").write_text("no parquet")
    (tmp_path / "columns.csv").write_text("clip,prompt\na.mp4,x\n")
    (tmp_path / "rows.csv").write_text("path,prompt\n")
    (tmp_path / "prompt.jsonl").write_text('{"path": "a.mp4", "prompt": 7}\n')
    (tmp_path / "video.jsonl").write_text('{"path": null}\n')
    with pytest.raises(ValueError, match=said):
        find_corpus(str(tmp_path / name))
    with pytest.raises(ValueError, match=r"the input is \[\]; give a folder"):
        find_corpus([])


def test_lists_keep_their_other_columns(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("a")
    rows = [{"path": "a.mp4", "prompt": "a cat", "prompt_id": 7, "generator": "wan"}]
    (tmp_path / "l.jsonl").write_text(json.dumps(rows[0]) + "\n")
    (tmp_path / "l.csv").write_text("path,prompt,prompt_id,generator\na.mp4,a cat,7,wan\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "l.parquet")
    for name, number in (("l.jsonl", 7), ("l.csv", "7"), ("l.parquet", 7)):
        (item,) = find_corpus(str(tmp_path / name)).items
        assert (item.name, item.prompt) == ("a.mp4", "a cat")
        assert os.fsdecode(item.path) == str(tmp_path / "a.mp4")
        assert json.loads(item.extra) == {"prompt_id": number, "generator": "wan"}
        assert open_item(item) == str(tmp_path / "a.mp4")
    (item,) = find_corpus(str(tmp_path / "l.csv"), root="/elsewhere").items
    assert os.fsdecode(item.path) == "/elsewhere/a.mp4"


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def test_webdataset_tars(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "000.tar", "w") as tar:
        add(tar, "0001.mp4", b"first")
        add(tar, "0001.json", b'{"caption": "a cat", "seed": 3}')
        add(tar, "0002.txt", b"a dog\n")
        add(tar, "0002.video.mp4", b"second")
        add(tar, "README.md", b"nothing")
    one, two = find_corpus(str(tmp_path / "000.tar")).items
    assert (one.name, one.prompt, one.extra) == ("000.tar/0001.mp4", "a cat", '{"seed": 3}')
    assert (two.prompt, open_item(one), open_item(two)) == ("a dog", b"first", b"second")
    run = light_run(f"{tmp_path}/*.tar", tmp_path / "run", workers=1)
    assert run.summary().ok == 2
    with tarfile.open(tmp_path / "twice.tar", "w") as tar:
        add(tar, "a.mp4", b"1")
        add(tar, "a.webm", b"2")
    with pytest.raises(ValueError, match=r"are of one sample; give each video a name of its own"):
        find_corpus(str(tmp_path / "twice.tar"))


def test_data_sets_with_embedded_videos_and_with_paths(tmp_path: Path) -> None:
    from datasets import Dataset, Features, Value, Video

    (tmp_path / "b.mp4").write_bytes(b"second")
    rows = {
        "video": [{"bytes": b"first", "path": None}, {"bytes": None, "path": f"{tmp_path}/b.mp4"}],
        "prompt": ["a cat", "a dog"],
    }
    features = Features({"video": Video(decode=False), "prompt": Value("string")})
    made = Dataset.from_dict(rows, features=features)
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "d.parquet")
    tables = []
    for number, inputs in enumerate((made, str(tmp_path / "saved"), str(tmp_path / "d.parquet"))):
        run = light_run(inputs, tmp_path / f"run{number}", workers=1)
        columns = run.finished().select(["status", "overall", "prompt"]).to_pylist()
        assert [row["status"] for row in columns] == ["ok", "ok"]
        tables.append(columns)
    assert tables[0] == tables[1] == tables[2]


def test_odd_names_are_rows_like_others(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    (folder / "deep").mkdir(parents=True)
    odd = [b"\xff\xfe.mp4", b"line\nbreak.mp4", b"n" * 251 + b".mp4", b"deep/same.mp4", b"same.mp4"]
    for name in odd:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(b"content")
    (folder / "loop").symlink_to(folder)
    (folder / "self.mp4").symlink_to(folder / "self.mp4")
    table = light_run(str(folder), tmp_path / "run", workers=1).finished()
    rows = {
        os.path.relpath(row["path_bytes"], os.fsencode(folder)): row for row in table.to_pylist()
    }
    assert rows.keys() == {*odd, b"self.mp4"}
    assert rows.pop(b"self.mp4")["status"] == "error"
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert len({row["row_id"] for row in rows.values()}) == len(odd)


def test_a_video_named_twice_is_two_rows(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("a")
    (tmp_path / "l.csv").write_text("path,prompt\na.mp4,a cat\na.mp4,a dog\n")
    table = light_run(str(tmp_path / "l.csv"), tmp_path / "run", workers=1).finished()
    assert table["prompt"].to_pylist() == ["a cat", "a dog"]
    assert len(set(table["row_id"].to_pylist())) == 2


def test_a_file_that_changes_during_the_run_is_no_score(tmp_path: Path) -> None:
    from aigv_reward.corpus.item_source import InputChangedError

    (tmp_path / "a.mp4").write_text("a")
    (item,) = find_corpus(str(tmp_path / "a.mp4")).items
    (tmp_path / "a.mp4").write_text("another")
    with pytest.raises(InputChangedError, match="changed, removed or created after the plan"):
        open_item(item)


def test_a_prompt_with_half_an_emoji_is_an_error_row_and_the_run_ends(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.mp4").write_text(name)
    (tmp_path / "l.jsonl").write_text(
        '{"path": "a.mp4", "prompt": "a cat \\ud83d"}\n'
        '{"path": "b.mp4", "prompt": "a dog", "id": "\\ud83d", "\\udc00": [{"x": "\\udfff"}]}\n'
        '{"path": "c.mp4", "prompt": "a \\ud83d\\ude00", "id": "\\ud83d\\ude00"}\n'
    )
    run = light_run(str(tmp_path / "l.jsonl"), tmp_path / "run", workers=1)
    rows = run.finished().to_pylist()
    assert [row["status"] for row in rows] == ["error", "ok", "ok"]
    assert [row["prompt"] for row in rows] == ["a cat \ufffd", "a dog", "a \U0001f600"]
    assert rows[0]["error"] == (
        r"its prompt holds '\ud83d', half of a character, at place 6; repair the prompt in the "
        "input and score it in a new run"
    )
    assert extra_of(rows[1]) == {"id": "\ufffd", "\ufffd": [{"x": "\ufffd"}]}
    assert json.loads(rows[1]["extra"])["id"] == "\ud83d"  # as it was, for whoever repairs it
    assert extra_of(rows[2]) == {"id": "\U0001f600"}
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        add(tar, "0.mp4", b"0")
        add(tar, "0.json", b'{"prompt": "\\ud83d"}')
    run = light_run(str(tmp_path / "t.tar"), tmp_path / "run2", workers=1)
    assert run.summary().error == 1


def test_the_path_of_a_list_is_unicode(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"path": "a.mp4"}\n{"path": "b\\ud83d.mp4"}\n')
    with pytest.raises(ValueError, match=r"l.jsonl' line 2: the video is .* half of a character"):
        find_corpus(str(tmp_path / "l.jsonl"))


@pytest.mark.parametrize("options", [{}, {"write_statistics": False}, {"row_group_size": 2}])
def test_the_bytes_in_a_list_are_scored_and_not_a_file_of_that_name(
    tmp_path: Path, options: Any
) -> None:
    (tmp_path / "a.mp4").write_text("the file")
    rows = [
        {"bytes": b"the bytes", "path": "a.mp4"},
        {"bytes": None, "path": "a.mp4"},
        {"bytes": b"others", "path": None},
        {"bytes": b"again", "path": "a.mp4"},
        {"bytes": None, "path": "a.mp4"},
    ]
    pq.write_table(pa.table({"video": rows, "seed": [1] * 5}), tmp_path / "l.parquet", **options)
    items = find_corpus(str(tmp_path / "l.parquet")).items
    file = str(tmp_path / "a.mp4")
    assert [open_item(one) for one in items] == [b"the bytes", file, b"others", b"again", file]
    assert [os.path.relpath(os.fsdecode(one.location), tmp_path) for one in items] == [
        *("l.parquet/0/a.mp4", "a.mp4", "l.parquet/2", "l.parquet/3/a.mp4", "a.mp4")
    ]
    pq.write_table(pa.table({"video": [{"bytes": b"x"}]}), tmp_path / "b.parquet")
    assert [open_item(one) for one in find_corpus(str(tmp_path / "b.parquet")).items] == [b"x"]


@pytest.mark.parametrize("there", [False, True])
def test_planning_a_list_keeps_no_bytes_in_memory(
    tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0.mp4").write_text("the file")
    rows = [{"bytes": os.urandom(1 << 18), "path": f"{k}.mp4"} for k in range(not there, 20)]
    rows[7]["bytes"] = None
    pq.write_table(pa.table({"video": rows}), tmp_path / "l.parquet", compression="none")
    del rows
    read, batches = [], pq.ParquetFile.iter_batches

    def spy(file: Any, *rest: Any, columns: list[str], **options: Any) -> Any:
        read.extend(columns)
        return batches(file, *rest, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    before, held = pa.total_allocated_bytes(), []
    for _ in list_items(tmp_path / "l.parquet", None):
        held.append(pa.total_allocated_bytes() - before)
    assert len(held) == 19 + there and max(held) < 1 << 18
    assert read == ["video.path", *["video.bytes"] * there, "video.path"]


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"path": "a.mp4", "aes": NaN, "x": [1, {"y": 1e999}]}\n')
    pq.write_table(pa.table({"path": ["a.mp4"], "aes": [float("nan")]}), tmp_path / "l.parquet")
    with tarfile.open(tmp_path / "l.tar", "w") as tar:
        add(tar, "0.mp4", b"0")
        add(tar, "0.json", b'{"aes": -Infinity}')
    inputs = [str(tmp_path / f"l.{suffix}") for suffix in ("jsonl", "parquet", "tar")]
    assert [json.loads(item.extra) for item in find_corpus(inputs).items] == [
        {"aes": None, "x": [1, {"y": None}]},
        {"aes": None},
        {"aes": None},
    ]


@pytest.mark.parametrize("name", ["l.csv", "l.jsonl", "l.parquet"])
def test_a_list_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).symlink_to("/proc/self/mem")  # whose first bytes nobody may read

    def refuse(path: Path) -> None:  # arrow asks for the size first, which is 0
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(pq, "ParquetFile", refuse)
    with pytest.raises(ValueError, match=rf"list '.*{name}' cannot be read \(.*\); allow reading"):
        find_corpus(str(tmp_path / name))


def test_a_glob_leaves_nothing_out(tmp_path: Path) -> None:
    for name in ("top/a.mp4", "top/sub/deep/z.mp4", "top/sub/b.mp4", "top/l/x.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "top" / "l.csv").write_text("path,prompt\nl/x.mp4,a cat\n")
    with tarfile.open(tmp_path / "top" / "t.tar", "w") as tar:
        add(tar, "0.mp4", b"0")
    found = find_corpus(f"{tmp_path}/top/*").items
    assert [os.path.relpath(os.fsdecode(one.location), tmp_path) for one in found] == [
        *("top/a.mp4", "top/l/x.mp4", "top/sub/b.mp4", "top/sub/deep/z.mp4", "top/t.tar/0.mp4")
    ]
    assert [one.prompt for one in found if one.prompt] == ["a cat"]
    assert names(f"{tmp_path}/top/sub/**") == [
        f"{tmp_path}/top/sub/b.mp4",
        f"{tmp_path}/top/sub/deep/z.mp4",
    ]


def test_a_glob_over_a_folder_that_holds_its_list_scores_a_video_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.mp4").write_text(name)
    rows = [{"path": f"{name}.mp4", "prompt": f"{name} {k}"} for k in (0, 1) for name in "ab"]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = find_corpus(f"{tmp_path}/*").items
    assert [os.path.basename(one.path)[:1] for one in found] == [b"c", b"a", b"b", b"a", b"b"]
    assert [one.prompt for one in found] == [None, "a 0", "b 0", "a 1", "b 1"]
    assert len(names([f"{tmp_path}/*.mp4", tmp_path / "m.jsonl"])) == 7


def test_a_glob_passes_over_lists_without_videos(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("a")
    (tmp_path / "l.csv").write_text("step;loss\n1;0,5\n")
    (tmp_path / "m.jsonl").write_text('{"step": 1}\n')
    (tmp_path / "n.csv").write_text("")
    pq.write_table(pa.table({"step": [1]}), tmp_path / "p.parquet")
    assert names(f"{tmp_path}/*") == [f"{tmp_path}/a.mp4"]
    with pytest.raises(ValueError, match=r"matches only lists without a column .* name one path"):
        find_corpus(f"{tmp_path}/*.csv")
    with pytest.raises(ValueError, match=r"line 1: no column of videos among step"):
        find_corpus(str(tmp_path / "m.jsonl"))
    (tmp_path / "m.jsonl").write_text('{"step": 1}\n{"path": "a.mp4"}\n')
    with pytest.raises(ValueError, match=r"line 1: no column of videos among step"):
        find_corpus(f"{tmp_path}/*")
    (tmp_path / "m.jsonl").write_text("no JSON\n")
    with pytest.raises(ValueError, match="line 1 is no JSON"):
        find_corpus(f"{tmp_path}/*")


def link(tar: tarfile.TarFile, name: str, target: str, kind: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    tar.addfile(member)


def test_links_in_a_tar_are_videos_too(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        link(tar, "d/first.mp4", "../a.mp4", tarfile.SYMTYPE)
        add(tar, "a.mp4", b"content")
        add(tar, "a.json", b'{"prompt": ""}')
        link(tar, "b.mp4", "a.mp4", tarfile.LNKTYPE)
        link(tar, "b.json", "a.json", tarfile.LNKTYPE)
        link(tar, "c.mp4", "b.mp4", tarfile.LNKTYPE)
    items = find_corpus(str(tmp_path / "t.tar")).items
    assert [one.name for one in items] == [
        f"t.tar/{name}.mp4" for name in ("d/first", "a", "b", "c")
    ]
    assert [open_item(one) for one in items] == [b"content"] * 4
    assert {one.prompt for one in items} == {None}
    with tarfile.open(tmp_path / "text.tar", "w") as tar:
        add(tar, "a.mp4", b"content")
        add(tar, "b.md", b"\xff")
        link(tar, "a.txt", "b.md", tarfile.LNKTYPE)
    with pytest.raises(ValueError, match=r"'a.txt' cannot be read .*; repair or remove it"):
        find_corpus(str(tmp_path / "text.tar"))


def test_links_to_what_is_not_in_a_tar_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link(tar, f"out{kind!r}.mp4", "/x.mp4", kind)
            link(tar, f"me{kind!r}.mp4", f"me{kind!r}.mp4", kind)
        link(tar, "folder.mp4", "folder", tarfile.SYMTYPE)
        link(tar, "folder", "", tarfile.DIRTYPE)
        add(tar, "a.mp4", b"content")
        link(tar, "a.json", "../a.json", tarfile.SYMTYPE)
        link(tar, "a.txt", "b.txt", tarfile.LNKTYPE)
        link(tar, "a.webm", "/x.webm", tarfile.SYMTYPE)
    (item,) = find_corpus(str(tmp_path / "t.tar")).items
    assert (item.name, item.prompt, open_item(item)) == ("t.tar/a.mp4", None, b"content")
    with tarfile.open(tmp_path / "none.tar", "w") as tar:
        add(tar, "a.txt", b"a cat")
        link(tar, "a.mp4", "/x.mp4", tarfile.SYMTYPE)
    with pytest.raises(ValueError, match=r"no video .*only links such as 'a.mp4' .*--dereference"):
        find_corpus(str(tmp_path / "none.tar"))


def test_a_video_and_links_to_it_in_one_sample_are_one_video(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "t.tar", "w") as tar:
        link(tar, "a.mov", "a.mp4", tarfile.SYMTYPE)
        add(tar, "a.mp4", b"first")
        link(tar, "a.mkv", "a.mov", tarfile.SYMTYPE)
        link(tar, "a.mp4", "a.mp4", tarfile.LNKTYPE)  # tar cf t.tar a.mp4 a.mp4
        link(tar, "b.mp4", "a.mp4", tarfile.LNKTYPE)
    one, two = find_corpus(str(tmp_path / "t.tar")).items
    assert (one.name, two.name) == ("t.tar/a.mp4", "t.tar/b.mp4")
    assert (open_item(one), open_item(two)) == (b"first", b"first")
    with tarfile.open(tmp_path / "two.tar", "w") as tar:
        add(tar, "a.mp4", b"1")
        add(tar, "b.mp4", b"2")
        link(tar, "a.mov", "b.mp4", tarfile.SYMTYPE)
    with pytest.raises(ValueError, match=r"'a.mp4' and 'a.mov' are of one sample"):
        find_corpus(str(tmp_path / "two.tar"))


def test_a_video_that_a_tar_stores_in_parts_is_refused(tmp_path: Path) -> None:
    for name, sparse in (("t.tar", "a.mp4"), ("other.tar", "b.bin")):
        with tarfile.open(tmp_path / name, "w", format=tarfile.GNU_FORMAT) as tar:
            link(tar, sparse, "", tarfile.GNUTYPE_SPARSE)  # an empty one, with an empty map
            add(tar, "b.mp4", b"whole")
    with pytest.raises(ValueError, match=r"'a.mp4' is stored in parts; .* without --sparse"):
        find_corpus(str(tmp_path / "t.tar"))
    assert names(str(tmp_path / "other.tar")) == ["other.tar/b.mp4"]

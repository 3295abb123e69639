from __future__ import annotations

import os
from pathlib import Path

import pytest

from aigv_reward.cli.errors import UsageError
from aigv_reward.cli.prompts import read_prompts


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    for name in ("a.mp4", "b.mp4", "set/a.mp4", "set/c.mp4"):
        (tmp_path / name).touch()
    return tmp_path


def write(text: str, name: str = "prompts.csv") -> str:
    Path(name).write_bytes(text.encode("utf-8"))
    return name


def test_paths_match_as_given_beside_the_csv_and_when_absolute(here: Path) -> None:
    file = write(f"path,prompt\nset/a.mp4,one\nc.mp4,two\n{here}/b.mp4,three\n", "set/p.csv")
    assert read_prompts(file, ["b.mp4", "./set/a.mp4", "set/c.mp4"]) == ["three", "one", "two"]


def test_paths_match_through_links_when_nothing_else_does(here: Path) -> None:
    os.symlink("set/c.mp4", "link.mp4")
    assert read_prompts(write("path,prompt\nlink.mp4,x\n"), ["set/c.mp4"]) == ["x"]


def test_quotes_byte_order_mark_other_columns_and_empty_prompts() -> None:
    text = '\ufeffprompt,seed,path\n"a cat, ""Tom""\nsurfing",7,a.mp4\n ,8,b.mp4\n'
    videos = ["a.mp4", "b.mp4", "set/c.mp4"]
    assert read_prompts(write(text), videos) == ['a cat, "Tom"\nsurfing', None, None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,prompt\nd.mp4,x\n",
            r"line 2: path 'd\.mp4' is none of the 3 videos; remove the row",
        ),
        ("path,prompt\na.mp4,x\n./a.mp4,y\n", r"line 3: .* is the video of line 2 again; keep one"),
        ("video,prompt\na.mp4,x\n", r"has no column path; .* but is 'video,prompt'"),
        ("", r"has no column path and prompt"),
        ("path,prompt\na.mp4,a cat, surfing\n", r"line 2: the row has not as many cells .*quotes"),
        ("path,prompt\na.mp4\n", r"line 2: the row has not as many cells"),
        ('path,prompt\na.mp4,"open\n', r"is no csv file \(unexpected end of data\); write one row"),
    ],
)
def test_what_cannot_be_matched_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_prompts(write(text), ["a.mp4", "b.mp4", "set/c.mp4"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"path,prompt\na.mp4,a cat\nb.mp4,caf\xe9\n",
            r"'p\.csv' line 3: the prompt 'caf\\udce9' is not UTF-8 \(1 of 2 rows have such "
            r"prompts\); save the file as UTF-8$",
        ),
        (
            b"path,prompt\ncaf\xe9.mp4,x\n",
            r"line 2: path .* is not UTF-8, and its bytes name no video; save",
        ),
        ("path,prompt\na.mp4,x\n".encode("utf-16"), r"first line of 'p\.csv' is not UTF-8; save"),
    ],
)
def test_a_file_in_another_encoding_is_named_with_its_line(content: bytes, message: str) -> None:
    Path("p.csv").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_prompts("p.csv", ["a.mp4", "b.mp4"])


def test_a_path_may_be_bytes_that_are_not_utf8() -> None:
    Path("p.csv").write_bytes(b"path,prompt\ncaf\xe9.mp4,a cat\n")
    assert read_prompts("p.csv", ["a.mp4", "caf\udce9.mp4"]) == [None, "a cat"]


def test_a_row_that_may_mean_two_videos_is_an_error() -> None:
    file = write("path,prompt\na.mp4,x\n", "set/p.csv")
    with pytest.raises(UsageError, match=r"may be 'a\.mp4' and 'set/a\.mp4'; write the absolute"):
        read_prompts(file, ["a.mp4", "set/a.mp4"])


def test_a_file_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"'none\.csv' cannot be read \(No such file.*give a csv"):
        read_prompts("none.csv", ["a.mp4"])

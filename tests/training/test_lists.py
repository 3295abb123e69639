"""Lists as people keep them, and what is said about malformed ones."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import datasets
import pytest

from aigv_reward.training.lists import read_opinions, read_preferences, rescale_opinions
from aigv_reward.training.opinions import Opinion, Preference

AWKWARD = 'a "cat" | a dog, both\nsurfing'
NAMES = ["path", "prompt", "technical", "motion", "mos", "generator"]
CELLS = [
    ["a.mp4", AWKWARD, 3.5, 2, 4.0, "model-1"],
    ["deep/b.mp4", None, None, 1.25, None, None],
]
EXPECTED = [
    Opinion(
        Path("videos/a.mp4"),
        AWKWARD,
        {"technical": 3.5, "motion": 2.0, "overall": 4.0},
        "model-1",
    ),
    Opinion(Path("videos/deep/b.mp4"), None, {"motion": 1.25}),
]


def write_csv(path: Path) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([NAMES, *CELLS])
    return path


def write_jsonl(path: Path) -> Path:
    rows = [dict(zip(NAMES, cells, strict=True)) for cells in CELLS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_dataset(video: bool = False) -> datasets.Dataset:
    columns = dict(zip(NAMES, map(list, zip(*CELLS, strict=True)), strict=True))
    made = datasets.Dataset.from_dict(columns)
    return made.cast_column("path", datasets.Video(decode=False)) if video else made


def save_dataset(path: Path) -> Path:
    as_dataset().save_to_disk(path)
    return path


def save_parquet(path: Path) -> Path:
    as_dataset().to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_csv, "list.csv"),
        (write_jsonl, "list.jsonl"),
        (save_dataset, "list"),
        (save_parquet, "list.parquet"),
    ],
)
def test_every_format_reads_the_same(write, name: str, tmp_path: Path) -> None:
    assert read_opinions(write(tmp_path / name), root="videos") == EXPECTED


@pytest.mark.parametrize("video", [False, True])
def test_a_dataset_in_memory_reads_the_same(video: bool) -> None:
    assert read_opinions(as_dataset(video), root="videos") == EXPECTED
    assert read_opinions(as_dataset(video))[0].path == Path("a.mp4")


def test_paths_start_at_the_lists_own_folder(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.mp4|a cat|3\n/elsewhere/b.mp4|a dog|2\n")
    first, second = read_opinions(tmp_path / "list.txt")
    assert (first.path, second.path) == (tmp_path / "a.mp4", Path("/elsewhere/b.mp4"))


def test_a_text_list_keeps_bars_and_commas_of_a_prompt(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("\ufeffa.mp4|a | b, c|d|3.5\n\nb.mp4||2\n", encoding="utf-8")
    assert read_opinions(file, root="") == [
        Opinion(Path("a.mp4"), "a | b, c|d", {"overall": 3.5}),
        Opinion(Path("b.mp4"), None, {"overall": 2.0}),
    ]


def test_a_text_list_with_a_header_has_other_scores(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("filename|prompt|technical|motion\na.mp4|a|b|3|4\nb.mp4|c||1\n")
    assert read_opinions(file, root="") == [
        Opinion(Path("a.mp4"), "a|b", {"technical": 3.0, "motion": 4.0}),
        Opinion(Path("b.mp4"), "c", {"motion": 1.0}),
    ]


def test_columns_rename_and_leave_out(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("clip,VQ,dynamics,mos\na.mp4,1,2,3\n")
    columns = {"path": "clip", "motion": "dynamics", "overall": None}
    assert read_opinions(file, root="", columns=columns) == [
        Opinion(Path("a.mp4"), None, {"technical": 1.0, "motion": 2.0})
    ]
    swapped = {"path": "clip", "motion": "VQ", "technical": "dynamics", "overall": None}
    (opinion,) = read_opinions(file, root="", columns=swapped)
    assert opinion.scores == {"technical": 2.0, "motion": 1.0}


def test_equal_rows_are_kept_once(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text("a.mp4|a cat|3\n./a.mp4|a cat|3.0\n")
    assert len(read_opinions(file)) == 1


def test_videoaligns_columns(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(
        "path_A,path_B,fps_A,prompt,VQ,MQ,TA,Overall,A_model,B_model\n"
        'a.mp4,b.mp4,8.0,"a cat, surfing",A,B,same,,one,two\n'
        "a.mp4,b.mp4,8.0,,,tie,,a,,\n"
    )
    first, second = read_preferences(file)
    assert first == Preference(
        tmp_path / "a.mp4",
        tmp_path / "b.mp4",
        "a cat, surfing",
        {"technical": "A", "motion": "B", "semantic": "same"},
        "one",
        "two",
    )
    assert second.choices == {"motion": "same", "overall": "A"}
    assert second.generator_a is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.txt", "a.mp4|p|3\nb.mp4|3\n", r"line 2: 'b.mp4\|3' is not path\|prompt\|mos; write"),
        ("list.txt", "a.mp4|p\np|3\n", r"line 1: 'a.mp4\|p' is not path\|prompt\|mos"),
        ("list.txt", "a.mp4|p|good\n", r"line 1: overall is 'good'; give a finite number"),
        ("list.txt", "a.mp4|p|nan\n", r"line 1: overall is 'nan'; give a finite number"),
        ("list.txt", "a.mp4|p|\n", r"line 1: there is no score; fill one of technical, motion"),
        ("list.txt", "|p|3\n", r"line 1: path is None; give the path of a video file"),
        ("list.txt", "filename|mos\n", r"line 1: the header is 'filename\|mos'; it must be"),
        ("list.txt", "a.mp4|p|3\na.mp4|p|4\n", r"line 2: '.*a.mp4' has another opinion .* line 1;"),
        ("list.txt", "a.mp4|p|3\na.mp4|q|3\n", r"line 2: '.*a.mp4' has another opinion"),
        ("list.txt", "", r"list '.*' has no rows; give at least one"),
        ("list.txt", b"a.mp4|\xff|3\n", r"list '.*' is not UTF-8 \(.*\); save it as UTF-8"),
        ("list.csv", "", r"list '.*' is empty; its first line must name the columns"),
        ("list.csv", "path,mos\n", r"list '.*' has no rows; give at least one"),
        ("list.csv", "path,mos,mos\na,1,2\n", r"names the columns \['mos'\] twice; rename one"),
        ("list.csv", 'path,mos\n"a\nb",1\nb\n', r"line 4: the row has not as many cells .* 2;"),
        ("list.csv", "path,mos\na,b,1\n", r"line 2: the row has not as many cells"),
        ("list.csv", 'path,mos\n"a" b,1\n', r"line 2: .* put text with commas, quotes or line"),
        (
            "list.csv",
            "clip,mos\na,1\n",
            r"line 2: no column is the path, there are clip, mos;",
        ),
        ("list.csv", "path,mos,overall\na,1,2\n", r"columns 'mos' and 'overall' are both overall;"),
        (
            "list.csv",
            "path,score\na,1\n",
            r"line 2: there is no .* \(there are path, score\)",
        ),
        ("list.jsonl", '{"path": "a", "mos": 1}\n{"path\n', r"line 2 is no JSON \(.*\); write one"),
        ("list.jsonl", "[1]\n", r"line 1 is a JSON list; write an object"),
        ("list.jsonl", '{"path": "a", "mos": true}\n', r"line 1: overall is True; give a finite"),
        ("list.jsonl", '{"path": "a", "mos": NaN}\n', r"line 1: overall is nan; give a finite"),
        ("list.jsonl", '{"path": 3, "mos": 1}\n', r"line 1: path is 3; give the path of a video"),
        ("list.jsonl", '{"path": "a", "prompt": 3, "mos": 1}\n', r"prompt is 3; give text, or"),
        ("list.xls", "x", r"list '.*' has an unknown suffix; it must be .txt, .csv, .jsonl"),
    ],
)
def test_a_malformed_list(name: str, text: str | bytes, message: str, tmp_path: Path) -> None:
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_opinions(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "path_A,path_B,VQ\na,b,C\n", r"line 2: technical is 'C'; give A, B or same"),
        ("p.csv", "path_A,path_B,VQ\na,b,\n", r"line 2: there is no score; fill one of technical"),
        ("p.csv", "path_A,path_B,VQ\na,./a,A\n", r"line 2: '.*a' is compared with itself; remove"),
        ("p.csv", "path_A,VQ\na,A\n", r"line 2: no column is the path_b, there are path_A, VQ"),
        ("p.txt", "a|b|A\n", r"list '.*p.txt' of pairs is a .txt; write a .csv or .jsonl"),
    ],
)
def test_malformed_pairs(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_preferences(tmp_path / name)


def test_what_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"list 'none.csv' does not exist; give a path to .txt"):
        read_opinions("none.csv")
    with pytest.raises(ValueError, match=r"a list of opinions is a int; give a path or a dataset"):
        read_opinions(3)
    with pytest.raises(ValueError, match=r"folder '.*' holds no data set; give .txt, .csv"):
        read_opinions(tmp_path)
    datasets.DatasetDict({"train": as_dataset()}).save_to_disk(tmp_path / "splits")
    with pytest.raises(ValueError, match=r"holds several splits; give one of .*splits/train"):
        read_opinions(tmp_path / "splits")


def test_without_datasets_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_parquet(tmp_path / "list.parquet")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs datasets: pip install .*\[train\]"):
        read_opinions(tmp_path / "list.parquet")
    assert read_opinions(write_csv(tmp_path / "list.csv"), root="videos") == EXPECTED


def test_columns_that_name_nothing(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "list.csv")
    with pytest.raises(ValueError, match=r"unknown field 'technicl'; did you mean 'technical'\?"):
        read_opinions(file, columns={"technicl": "VQ"})
    with pytest.raises(ValueError, match=r"unknown field 'x'; choose from path, generator, prompt"):
        read_opinions(file, columns={"x": "VQ"})
    with pytest.raises(ValueError, match=r"list '.*' has no column 'VQ', named for technical"):
        read_opinions(file, columns={"technical": "VQ"})


def test_scores_are_mapped_to_the_level_range() -> None:
    """0..100 to 1..5: 25 is a quarter of the way, 1 + 4 / 4 = 2."""
    opinions = [Opinion(Path("a"), "p", {"technical": 25, "overall": 100}, "g")]
    (mapped,) = rescale_opinions(opinions, [0, 100])
    assert mapped == Opinion(Path("a"), "p", {"technical": 2.0, "overall": 5.0}, "g")
    assert rescale_opinions([mapped]) == [mapped]


def test_scores_off_the_scale_name_the_remedy() -> None:
    opinions = [Opinion(Path("a.mp4"), None, {"motion": 62.5})]
    message = r"'a.mp4' has motion 62.5, outside 1..5; give .* mos_range: \[0, 100\], .* to 1..5"
    with pytest.raises(ValueError, match=message):
        rescale_opinions(opinions)
    for wrong in ([5, 1], [0], [0, float("inf")]):
        with pytest.raises(ValueError, match=r"mos_range .* must be two numbers, the worst first"):
            rescale_opinions(opinions, wrong)

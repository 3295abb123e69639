"""Prompts from every source, images opened late, and errors that name the line."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from aigv_reward.integrations.finetune.prompt_data import read_prompts


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_text(tmp_path: Path) -> None:
    path = written(tmp_path, "p.txt", "\ufeffa cat, surfing\n  ein Bär \na cat, surfing\n")
    found = read_prompts(path)
    assert [found[i] for i in range(len(found))] == [
        {"prompt": "a cat, surfing"},
        {"prompt": "ein Bär"},
        {"prompt": "a cat, surfing"},
    ]


def test_csv(tmp_path: Path) -> None:
    path = written(tmp_path, "p.csv", 'prompt,seed\n"a cat, ""surfing""\non a wave",7\nb,8\n')
    found = read_prompts(str(path))
    assert found[0] == {"prompt": 'a cat, "surfing"\non a wave', "seed": "7"}
    assert found[1] == {"prompt": "b", "seed": "8"}


def test_jsonl(tmp_path: Path) -> None:
    rows = [{"prompt": "a", "strength": 0.5}, {"prompt": "b", "strength": None}]
    path = written(tmp_path, "p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    found = read_prompts(path)
    assert [found[0], found[1]] == rows


def test_lists_and_data_sets() -> None:
    rows = [{"prompt": "a", "seed": 1}, {"prompt": "b", "seed": 2}]
    assert read_prompts(["a", "b"])[1] == {"prompt": "b"}
    for source in (rows, datasets.Dataset.from_list(rows)):
        found = read_prompts(source)
        assert len(found) == 2 and [found[0], found[1]] == rows


def test_what_is_read_is_a_copy() -> None:
    rows = [{"prompt": "a"}]
    read_prompts(rows)[0]["prompt"] = "changed"
    assert rows == [{"prompt": "a"}]


def test_images_are_opened_late_and_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = tmp_path / "in" / "first.png"
    Image.new("RGBA", (4, 2), (255, 0, 0, 128)).save(picture)
    path = written(tmp_path, "p.csv", "prompt,image\na,in/first.png\n")
    found = read_prompts(path)
    assert isinstance(found.rows[0]["image"], str)
    image = found[0]["image"]
    assert (image.mode, image.size) == ("RGB", (4, 2))
    given = [{"prompt": "a", "start": "first.png"}]
    assert isinstance(
        read_prompts(given, root=tmp_path / "in", images=["start"])[0]["start"], Image.Image
    )
    assert read_prompts(given, images=[])[0]["start"] == "first.png"
    dataset = datasets.Dataset.from_list([{"prompt": "a", "image": "in/first.png"}])
    assert read_prompts(dataset, root=tmp_path)[0]["image"].size == (4, 2)


def test_images_stand_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (4, 2)).save(tmp_path / "a.jpg", exif=exif)
    assert read_prompts([{"prompt": "a", "image": "a.jpg"}], root=tmp_path)[0]["image"].size == (
        2,
        4,
    )


def test_images_that_are_open_pass_through(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 2))
    assert read_prompts([{"prompt": "a", "image": image}])[0]["image"] is image
    dataset = datasets.Dataset.from_list([{"prompt": "a", "image": image}])
    assert read_prompts(dataset)[0]["image"].size == (2, 2)


def test_with_a_loader_and_its_workers() -> None:
    found = read_prompts(["a", "b", "c"])
    batches = list(DataLoader(pickle.loads(pickle.dumps(found)), batch_size=2, collate_fn=list))
    assert batches == [[{"prompt": "a"}, {"prompt": "b"}], [{"prompt": "c"}]]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "a\n\nb\n", "p.txt' line 2 is empty; remove it"),
        ("p.txt", "", "p.txt' has no rows; give at least one"),
        ("p.md", "a", "p.md' has an unknown suffix; it must be .txt, .csv or .jsonl"),
        ("p.csv", "", "p.csv' has no rows; give at least one"),
        ("p.csv", "prompt\n", "p.csv' has no rows; give at least one"),
        ("p.csv", 'prompt,x\n"a\nb",1\n\nc,2\n', "p.csv' line 4 is empty; remove it"),
        ("p.csv", "prompt,x\na,1\n ,\n", "p.csv' line 3 is empty; remove it"),
        (
            "p.csv",
            "prompt,x\na, b,1\n",
            "p.csv' line 2 has 3 cells and the header 2; put text that holds a comma in double",
        ),
        ("p.csv", "prompt,prompt\na,b\n", "p.csv' line 1 names a column twice: prompt, prompt"),
        ("p.csv", 'prompt\nb\n"a" b\n', "p.csv' line 3: ',' expected after '\"'; put text with"),
        (
            "p.csv",
            "text\na\n",
            "p.csv' line 2: the prompt is None; every row needs text in the column prompt (there "
            "are text)",
        ),
        ("p.csv", "prompt,x\n ,1\n", "p.csv' line 2: the prompt is ' '; every row needs text"),
        ("p.csv", "prompt,image\na,\n", "p.csv' line 2: image is ''; give the path of an image"),
        ("p.csv", "prompt,image\na,no.png\n", "no.png' does not exist; paths are relative to '"),
        ("p.jsonl", '{"prompt": "a"}\n\n', "p.jsonl' line 2 is empty; remove it"),
        (
            "p.jsonl",
            '{"prompt": "a"}\n{"prompt": }\n',
            "p.jsonl' line 2 is no JSON (Expecting value at column 12); write one object a line",
        ),
        ("p.jsonl", '["a"]\n', "p.jsonl' line 1 is a JSON list; write an object"),
        ("p.jsonl", '{"prompt": 7}\n', "p.jsonl' line 1: the prompt is 7; every row needs text"),
        (
            "p.jsonl",
            '{"prompt": "a", "seed": 1}\n{"prompt": "b"}\n',
            "p.jsonl' line 2: seed stands in some rows only; give every row the same columns",
        ),
    ],
)
def test_errors_of_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_prompts(written(tmp_path, name, text))


def test_errors_of_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no\.txt' does not exist; give the path of a file"):
        read_prompts(tmp_path / "no.txt")
    (tmp_path / "p.txt").write_bytes(b"caf\xe9 au lait\n")
    with pytest.raises(ValueError, match=r"p\.txt' is not UTF-8 \(.*\); save it as UTF-8"):
        read_prompts(tmp_path / "p.txt")
    written(tmp_path, "a.png", "no picture")
    found = read_prompts([{"prompt": "a", "image": "a.png"}], root=tmp_path)
    with pytest.raises(ValueError, match=r"a\.png' cannot be read as an image: cannot identify"):
        found[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (7, "prompts are a int; give a path, a list or a datasets.Dataset"),
        ([], "there are no prompts; give at least one"),
        (["a", 7], "row 1 is a int; give text or a mapping"),
        (["a", ""], "row 1: the prompt is ''; every row needs text"),
        (datasets.Dataset.from_dict({"prompt": []}), "there are no prompts; give at least one"),
        (
            datasets.Dataset.from_dict({"text": ["a"]}),
            "the data set has no column prompt; there are text",
        ),
        (datasets.Dataset.from_dict({"prompt": ["a", None]}), "row 1: the prompt is None; every"),
        (
            datasets.Dataset.from_dict({"prompt": ["a"], "image": ["no.png"]}),
            "row 0: image 'no.png' does not exist; paths are relative to '.'",
        ),
        (
            datasets.DatasetDict({"train": datasets.Dataset.from_dict({"prompt": ["a"]})}),
            "the data set holds several splits; give one of train",
        ),
        (
            datasets.Dataset.from_dict({"prompt": ["a"]}).to_iterable_dataset(),
            "prompts are a IterableDataset, which has no length; give a datasets.Dataset",
        ),
    ],
)
def test_errors_of_objects(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_prompts(source)

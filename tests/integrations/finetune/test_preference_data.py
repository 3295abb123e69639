"""Preferences of paths and of latents, loaded late, and errors that name the line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from safetensors.torch import save_file

from aigv_reward.integrations.finetune.preference_data import load_latents, read_preferences

GOOD, BAD = torch.ones(4, 2, 3, 3), torch.zeros(4, 2, 3, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Videos a and b, latents good and bad."""
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    save_file({"latents": GOOD}, tmp_path / "good.safetensors")
    torch.save(BAD, tmp_path / "bad.pt")
    return tmp_path


def test_videos_of_a_csv(folder: Path) -> None:
    path = folder / "pairs.csv"
    path.write_text("prompt,chosen,rejected,margin,by\nx,a.mp4,b.mp4,0.5,me\nx,b.mp4,a.mp4,1,me\n")
    found = read_preferences(path)
    assert found.kind == "videos" and len(found) == 2
    assert found[0] == {
        "prompt": "x",
        "chosen": str(folder / "a.mp4"),
        "rejected": str(folder / "b.mp4"),
        "margin": 0.5,
        "by": "me",
    }


def test_latents_of_a_jsonl(folder: Path) -> None:
    row = {"prompt": "x", "chosen": "good.safetensors", "rejected": "bad.pt"}
    path = folder / "pairs.jsonl"
    path.write_text(json.dumps(row) + "\n")
    found = read_preferences(path)
    assert found.kind == "latents" and isinstance(found.rows[0]["chosen"], str)
    assert torch.equal(found[0]["chosen"], GOOD) and torch.equal(found[0]["rejected"], BAD)
    assert "margin" not in found[0]


def test_lists_and_data_sets(folder: Path) -> None:
    rows = [{"prompt": "x", "chosen": "a.mp4", "rejected": "b.mp4"}]
    whole = {**rows[0], "chosen": str(folder / "a.mp4"), "rejected": str(folder / "b.mp4")}
    assert read_preferences(rows, root=folder)[0] == whole
    dataset = datasets.Dataset.from_list(rows)
    assert read_preferences(dataset, root=folder)[0] == whole
    held = [{"prompt": "x", "chosen": GOOD, "rejected": BAD}]
    found = read_preferences(held)
    assert found.kind == "latents" and found[0]["chosen"] is GOOD


def test_videos_of_datasets_are_not_decoded(folder: Path) -> None:
    """A column of datasets' type Video, whose rows would be decoders."""
    rows = {"prompt": ["x"]} | {
        side: [{"path": str(folder / name), "bytes": None}]
        for side, name in (("chosen", "a.mp4"), ("rejected", "b.mp4"))
    }
    video = datasets.Video(decode=False)
    features = datasets.Features(
        {"prompt": datasets.Value("string"), "chosen": video, "rejected": video}
    )
    found = read_preferences(datasets.Dataset.from_dict(rows, features=features))
    assert found[0]["chosen"] == str(folder / "a.mp4")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "pairs.csv' has no rows; give at least one"),
        ("x,a.mp4,b.mp4\n\n", "pairs.csv' line 3 is empty; remove it"),
        (",a.mp4,b.mp4\n", "pairs.csv' line 2: the prompt is ''; every row needs text"),
        ("x,,b.mp4\n", "pairs.csv' line 2: chosen is ''; give the path of a video or of latents"),
        ("x,a.mp4,no.mp4\n", "no.mp4' does not exist; paths are relative to '"),
        ("x,a.mp4,a.mp4\n", "pairs.csv' line 2: 'a.mp4' is compared with itself; remove the row"),
        (
            "x,a.mp4,b.mp4\nx,a.mp4,bad.pt\n",
            "pairs.csv' line 3: rejected is of the kind latents, the first row's of videos; give",
        ),
    ],
)
def test_errors_of_files(folder: Path, lines: str, message: str) -> None:
    path = folder / "pairs.csv"
    path.write_text(f"prompt,chosen,rejected\n{lines}")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_preferences(path)


@pytest.mark.parametrize("margin", ["", "much", "inf", None])
def test_a_margin_is_a_finite_number(folder: Path, margin: Any) -> None:
    row = {"prompt": "x", "chosen": "a.mp4", "rejected": "b.mp4", "margin": margin}
    with pytest.raises(ValueError, match=f"row 0: margin is {margin!r}; give a finite number"):
        read_preferences([row], root=folder)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (7, "preferences are a int; give a path, a list or a datasets.Dataset"),
        ("pairs.txt", "list 'pairs.txt' has an unknown suffix; it must be .csv or .jsonl"),
        ([], "there are no pairs; give at least one"),
        (["x"], "row 0 is a str; give a mapping"),
        ([{"prompt": "x", "chosen": GOOD}], "row 0: rejected is None; give the path"),
        (
            [{"prompt": "x", "chosen": GOOD, "rejected": BAD, "n": 1}, {"prompt": "x"}],
            "row 1: chosen, n, rejected stands in some rows only; give every row the same columns",
        ),
    ],
)
def test_errors_of_objects(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_preferences(source)


def test_latents_of_two_shapes() -> None:
    found = read_preferences([{"prompt": "x", "chosen": GOOD, "rejected": BAD[:, :1]}])
    message = r"row 0: the chosen latents have shape \(4, 2, 3, 3\) and the rejected \(4, 1, 3, 3\)"
    with pytest.raises(ValueError, match=message):
        found[0]


class Trap:
    """Runs when a pickle is loaded without weights_only."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("trapped"),))


def test_latents_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_file({"a": GOOD, "b": BAD}, "two.safetensors")
    with pytest.raises(ValueError, match=r"latents 'two.safetensors' hold a, b; save one tensor a"):
        load_latents("two.safetensors")
    torch.save([GOOD], "list.pt")
    with pytest.raises(ValueError, match=r"latents 'list.pt' hold list; save one tensor a file"):
        load_latents("list.pt")
    torch.save(Trap(), "trap.pt")
    Path("broken.safetensors").write_bytes(b"nothing")
    for name in ("trap.pt", "broken.safetensors", "no.pt"):
        with pytest.raises(ValueError, match=f"latents '{name}' cannot be read: "):
            load_latents(name)
    assert not Path("trapped").exists()

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from aigv_reward import VideoReward
from aigv_reward.cli import app
from aigv_reward.reward.golden import check_golden

REFERENCE = Path(__file__).parents[1] / "reference"
CHECKPOINT = REFERENCE / "aigveval_small.pth"
SMALL = ("--config", REFERENCE / "aigveval_small.json")
TOKENIZER = ("--tokenizer", REFERENCE / "aigveval_small_tokenizer.json")


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(
        app, ["convert", "aigveval", *map(str, arguments)], catch_exceptions=False
    )


def test_a_published_checkpoint_is_converted_and_scores(tmp_path: Path, clips: Any) -> None:
    out = tmp_path / "made" / "here"
    result = convert(CHECKPOINT, out, *SMALL, *TOKENIZER)
    assert (result.exit_code, result.stderr) == (0, "")
    wrote, source, overall, *untrained, usage = result.stdout.splitlines()
    assert wrote.startswith(f"wrote {out} (")
    files = "README.md, config.json, golden.json, model.safetensors, tokenizer.json"
    assert wrote.endswith(files)
    check_golden(VideoReward.from_pretrained(out), out)
    assert hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest() in source
    assert overall.startswith("overall: the published score")
    assert untrained == [
        f"{name}: not trained in this checkpoint" for name in ("technical", "motion", "semantic")
    ]
    assert usage == f"use it: aigv-reward score --checkpoint {out} VIDEO"
    assert [path.name for path in out.parent.iterdir()] == ["here"]

    scored = CliRunner().invoke(
        app, ["score", clips.good[0], "--checkpoint", str(out), "--format", "json"]
    )
    assert scored.exit_code == 0, scored.stderr
    assert json.loads(scored.stdout)["untrained"] == ["technical", "motion", "semantic"]


def test_without_a_tokenizer_only_overall_is_answered(tmp_path: Path, clips: Any) -> None:
    out = tmp_path / "out"
    out.mkdir()
    result = convert(CHECKPOINT, out, *SMALL)
    assert "not trained" not in result.stdout
    for more, message in (
        (["--dimensions", "motion"], "this checkpoint does not score 'motion'; it scores overall"),
        (["--prompts", "p.csv"], "no question of this checkpoint takes a text prompt; leave"),
    ):
        Path(clips.folder, "p.csv").write_text("path,prompt\na.mp4,a cat\n")
        more = [str(clips.folder / arg) if arg == "p.csv" else arg for arg in more]
        scored = CliRunner().invoke(
            app, ["score", clips.good[0], "--checkpoint", str(out), *more], catch_exceptions=False
        )
        assert scored.exit_code == 2
        assert message in scored.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((CHECKPOINT, "out"), 1, "the checkpoint does not fit"),
        (("none.pth", "out"), 2, "file 'none.pth' does not exist"),
        ((CHECKPOINT, "full"), 2, "'full' exists and is not an empty folder; name a new one"),
        ((CHECKPOINT, "full/file"), 2, "'full/file' exists and is not an empty folder"),
        ((CHECKPOINT, "full/file/out", *SMALL), 1, "'full/file/out' cannot be written"),
        ((CHECKPOINT, "out", "--config", "no_keys.json"), 1, "'no_keys.json' lacks the keys"),
        ((CHECKPOINT, "out", *SMALL, "--base-llm", "none"), 2, "'none' does not exist"),
        (("unsafe.pth", "out"), 1, "a pickle can run any code"),
        (
            (CHECKPOINT, "out", "--config", "list.json"),
            1,
            "'list.json' holds a list, not an object",
        ),
        ((CHECKPOINT, "out", *SMALL, "--tokenizer", "list.json"), 1, "'list.json' is no tokenizer"),
        ((CHECKPOINT, "out", *SMALL, "--base-llm", "base"), 1, "cannot be read as weights"),
    ],
)
def test_what_cannot_be_converted_leaves_nothing_behind(
    arguments: tuple[object, ...],
    status: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("full").mkdir()
    Path("full/file").touch()
    Path("no_keys.json").write_text("{}")
    Path("list.json").write_text("[1]")
    Path("base").mkdir()
    Path("base/model.safetensors").write_bytes(b"garbage")
    torch.save({"state_dict": Path("x")}, "unsafe.pth")
    before = sorted(tmp_path.rglob("*"))
    result = convert(*arguments)
    assert result.exit_code == status
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before

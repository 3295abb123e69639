from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import Result

from aigv_reward import VideoReward

Run = Callable[..., Result]


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_says_what_the_library_says(run: Run, clips: Any, checkpoint: Path) -> None:
    result = run("score", clips.folder, "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    with torch.no_grad():
        expected = VideoReward.from_pretrained(checkpoint).score(clips.good)
    rows = records(result)
    assert [row.pop("video") for row in rows] == clips.good
    assert all(row.pop("untrained") == ["motion"] for row in rows)
    assert len({row["overall"] for row in rows}) == 3
    for row, values in zip(rows, expected.rows(), strict=True):
        assert list(row) == ["technical", "motion", "semantic", "overall"]
        assert row == pytest.approx(values, abs=2e-5)


def test_scores_do_not_depend_on_the_batch(run: Run, clips: Any) -> None:
    one, many = (
        records(run("score", *clips.good, "--format", "json", "--batch-size", size))
        for size in (1, 3)
    )
    for row, same in zip(one, many, strict=True):
        assert (row.pop("video"), row.pop("untrained")) == (same.pop("video"), ["motion"])
        assert row == pytest.approx({name: same[name] for name in row}, abs=2e-5)


def test_a_failed_file_is_a_row_and_the_others_are_scored(run: Run, clips: Any) -> None:
    (clips.folder / "aa.mp4").write_bytes(b"")
    notes = clips.folder / "notes.txt"
    result = run("score", clips.folder, notes, "--format", "json", "--batch-size", 2)
    assert result.exit_code == 1
    rows = records(result)
    assert [Path(row["video"]).name for row in rows] == [
        "a.mp4",
        "aa.mp4",
        "b.mp4",
        "c.mp4",
        "notes.txt",
    ]
    assert [row["overall"] is None for row in rows] == [False, True, False, False, True]
    assert rows[1]["error"] == "it is empty (0 bytes)"
    assert "error" in rows[4]
    assert result.stderr == (
        "aigv-reward: error: 2 of 5 videos could not be scored (40.0%); repair or leave out the "
        "files named above, or allow with --max-error-rate\n"
    )


def test_failures_may_be_allowed(run: Run, clips: Any) -> None:
    result = run("score", *clips.good, "no.mp4", "--format", "csv", "--max-error-rate", 0.25)
    assert result.exit_code == 0
    assert result.stderr.endswith("(25.0%), which --max-error-rate 0.25 allows\n")
    header, *rows = csv.reader(result.stdout.splitlines())
    assert header[-2:] == ["untrained", "error"]
    assert rows[-1][0] == "no.mp4"
    assert rows[-1][-1] == "it cannot be opened: No such file or directory"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--item-memory", "4"], "--item-memory 4.0 is for runs; add --out RUN"),
        (["--no-verify"], "--no-verify is for runs; add --out RUN"),
    ],
)
def test_options_of_runs_need_one(run: Run, options: list[str], said: str) -> None:
    result = run("score", "a.mp4", *options)
    assert result.exit_code == 2 and said in result.stderr


def test_a_table_marks_what_is_not_trained(run: Run, clips: Any) -> None:
    result = run("score", clips.folder)
    assert result.stderr == ""
    lines = result.stdout.split("\n")
    assert lines[1].split() == ["video", "technical", "motion*", "semantic", "overall"]
    assert lines[3].split()[0] == clips.good[0]
    assert lines[-2] == "* not trained in this checkpoint: motion"


def test_dimensions_are_chosen_and_ordered(run: Run, clips: Any) -> None:
    result = run("score", clips.good[0], "--format", "json", "--dimensions", "overall, semantic")
    assert list(records(result)[0]) == ["video", "overall", "semantic"]


def test_windows_are_averaged_and_shown(run: Run, clips: Any) -> None:
    rows = records(run("score", *clips.good, "--format", "json", "--clips", 3, "--batch-size", 2))
    for row in rows:
        windows = row["windows"]["overall"]
        assert len(windows) == 3
        assert row["overall"] == pytest.approx(sum(windows) / 3, abs=2e-5)


def test_prompts_reach_the_semantic_question_of_their_video(run: Run, clips: Any) -> None:
    file = clips.folder / "prompts.csv"
    file.write_text("path,prompt\nb.mp4,a cat\n")
    plain = records(run("score", clips.folder, "--format", "json"))
    result = run("score", clips.folder, "--format", "json", "--prompts", file)
    assert result.stderr == f"aigv-reward: 2 of 3 videos have no prompt in {str(file)!r}\n"
    changed = [
        abs(a["semantic"] - b["semantic"]) > 1e-4
        for a, b in zip(plain, records(result), strict=True)
    ]
    assert changed == [False, True, False]


def test_a_prompt_that_is_too_long_costs_only_its_own_row(run: Run, clips: Any) -> None:
    file = clips.folder / "prompts.csv"
    file.write_text(f"path,prompt\na.mp4,a cat\nb.mp4,{'very ' * 20}long\n")
    result = run("score", clips.folder, "--format", "json", "--prompts", file)
    assert result.exit_code == 1
    rows = records(result)
    assert ["error" in row for row in rows] == [False, True, False]
    assert "the prompt has 105 tokens, the limit is max_prompt_tokens=32" in rows[1]["error"]


def test_a_prompt_is_refused_before_its_video_is_decoded(
    run: Run, clips: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    prepare = VideoReward.prepare
    monkeypatch.setattr(
        VideoReward, "prepare", lambda *a, **k: decoded.append(a[1]) or prepare(*a, **k)
    )
    file = clips.folder / "prompts.csv"
    file.write_text(f"path,prompt\na.mp4,{'very ' * 20}long\n")
    run("score", clips.good[0], clips.good[1], "--prompts", file)
    assert decoded == [clips.good[1]]


def test_a_prompt_that_is_no_utf8_ends_the_command_with_its_line(run: Run, clips: Any) -> None:
    file = clips.folder / "prompts.csv"
    file.write_bytes(b"path,prompt\na.mp4,caf\xe9\n")
    result = run("score", clips.folder, "--prompts", file)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert "prompts.csv' line 2: the prompt" in result.stderr
    assert "is not UTF-8 (1 of 1 rows have such prompts); save the file as UTF-8" in result.stderr


def test_frames_far_from_square_are_an_error_of_their_file(run: Run, clips: Any) -> None:
    Image.new("RGB", (65535, 1)).save(clips.folder / "thin.gif")
    result = run("score", clips.folder, "--format", "json")
    assert result.exit_code == 1
    rows = {Path(row["video"]).name: row for row in records(result)}
    assert [name for name, row in rows.items() if "error" in row] == ["thin.gif"]
    assert "frames of 65535x1 pixels would be enlarged to 2097120x32" in rows["thin.gif"]["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dimensions", "motion,beauty"], "unknown dimension 'beauty'; choose from technical"),
        (["--prompts", "none.csv"], "prompts file 'none.csv' cannot be read"),
        (["--device", "quantum"], "device 'quantum' cannot be used"),
        (["--device", "meta:x"], "try --device cpu"),
        (["--batch-size", "0"], "'--batch-size': Input should be greater than or equal to 1"),
        (["--format", "xml"], "'xml' is not one of"),
        (["--colour"], "No such option: --colour"),
    ],
)
def test_senseless_arguments_are_one_line_and_status_2(
    run: Run, clips: Any, arguments: list[str], message: str
) -> None:
    result = run("score", clips.good[0], *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.startswith("aigv-reward: error: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("prompted", [True, False])
def test_prompts_that_nothing_would_read_are_refused(run: Run, clips: Any, prompted: bool) -> None:
    file = clips.folder / "prompts.csv"
    file.write_text(f"path,prompt\nb.mp4,{'a cat' if prompted else ''}\n")
    result = run("score", clips.good[1], "--prompts", file, "--dimensions", "motion")
    assert result.exit_code == (2 if prompted else 0)
    assert ("text prompts are read for semantic only" in result.stderr) == prompted


def test_prompts_need_a_tokenizer(run: Run, clips: Any, checkpoint: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).symlink_to(checkpoint / name)
    file = clips.folder / "prompts.csv"
    file.write_text("path,prompt\nb.mp4,a cat\n")
    result = run("score", clips.good[1], "--prompts", file, "--checkpoint", tmp_path, tiny=False)
    assert result.exit_code == 2
    assert "the checkpoint has no tokenizer.json; add it" in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "unknown checkpoint"),
        ({}, "has no config.json"),
    ],
)
def test_a_checkpoint_that_cannot_be_loaded_is_one_line(
    run: Run, clips: Any, tmp_path: Path, content: dict[str, str] | None, message: str
) -> None:
    folder = tmp_path / "broken"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    result = run("score", clips.good[0], "--checkpoint", folder, tiny=False)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tokenizer.json", lambda text: "{bad", "tokenizer.json' is no tokenizer (key must be"),
        ("config.json", lambda text: "[1]", "holds a list, not an object; restore what save_pre"),
        (
            "config.json",
            lambda text: text.replace('"logit_divisor": 1.0', '"logit_divisor": "x"'),
            "logit_divisor is 'x'; give a number",
        ),
        (
            "config.json",
            lambda text: text.replace('"lora": null', '"lora": {"r": "x"}'),
            "cannot be loaded ('<=' not supported",
        ),
    ],
    ids=["tokenizer", "list", "type", "deep type"],
)
def test_a_damaged_checkpoint_is_one_line(
    run: Run,
    clips: Any,
    checkpoint: Path,
    tmp_path: Path,
    file: str,
    change: Callable[[str], str],
    message: str,
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(checkpoint, folder)
    text = (folder / file).read_text()
    (folder / file).write_text(change(text))
    assert (folder / file).read_text() != text
    result = run("score", clips.good[0], "--checkpoint", folder, tiny=False)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_truncated_checkpoint_is_one_line(
    run: Run, clips: Any, checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.json").symlink_to(checkpoint / "config.json")
    weights = (checkpoint / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:-1000])
    result = run("score", clips.good[0], "--checkpoint", tmp_path, tiny=False)
    assert result.exit_code == 1
    assert f"checkpoint {str(tmp_path)!r} cannot be loaded (" in result.stderr
    assert "give --checkpoint a folder" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_hub_id_that_is_not_there_is_one_line(run: Run, clips: Any) -> None:
    result = run("score", clips.good[0], "--checkpoint", "nobody/nothing", tiny=False)
    assert result.exit_code == 1
    assert "checkpoint 'nobody/nothing' cannot be loaded (" in result.stderr
    assert result.stderr.count("\n") == 1


def test_weights_that_give_no_number_are_errors_not_scores(
    run: Run, clips: Any, checkpoint: Path, tmp_path: Path
) -> None:
    reward = VideoReward.from_pretrained(checkpoint)
    reward.model.semantic_projection.weight.data.fill_(float("nan"))
    reward.model.save_pretrained(tmp_path / "nan")
    result = run(
        "score", *clips.good, "--checkpoint", tmp_path / "nan", "--format", "json", tiny=False
    )
    assert result.exit_code == 1
    assert all("are not finite" in row["error"] for row in records(result))
    assert "NaN" not in result.stdout


def test_ctrl_c_keeps_what_is_scored(run: Run, clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = VideoReward.prepare

    def interrupted(self: VideoReward, video: Any, **kwargs: Any) -> Any:
        if str(video) == clips.good[2]:
            raise KeyboardInterrupt
        return prepare(self, video, **kwargs)

    monkeypatch.setattr(VideoReward, "prepare", interrupted)
    result = run("score", clips.folder, "--batch-size", 1)
    assert result.exit_code == 130
    assert result.stderr == "aigv-reward: interrupted; the rows printed so far are complete\n"
    assert clips.good[0] in result.stdout
    assert clips.good[2] not in result.stdout


def test_transformers_is_left_as_it_was(run: Run, clips: Any) -> None:
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled(), logging.get_verbosity()
    assert run("score", clips.good[0]).exit_code == 0
    assert (logging.is_progress_bar_enabled(), logging.get_verbosity()) == before
    assert torch.is_grad_enabled()
    assert sys.stdout is not None

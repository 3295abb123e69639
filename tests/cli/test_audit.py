from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from aigv_reward.cli.audit import audit
from aigv_reward.cli.errors import CommandGroup

REWARDS = """
def bright(frames, prompts, *, fps=None):
    print("scoring", len(frames))
    return frames.mean(dim=(1, 2, 3, 4))

def still(frames, prompts, *, fps=None):
    return -(frames[:, 1:] - frames[:, :-1]).abs().mean(dim=(1, 2, 3, 4))

def wrong(frames, prompts, *, fps=None):
    return frames.mean(dim=(2, 3, 4))
"""
QUICK = (
    *("--distortions", "noise,jitter", "--variants", 1, "--frames", 4, "--side", 32),
    *("--steps", 1, "--scenes", 2),
)

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in a folder that holds the module `toy_rewards`."""
    app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)
    app.command()(audit)
    app.callback()(lambda: None)
    (tmp_path / "toy_rewards.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "toy_rewards", raising=False)

    def invoke(*args: object) -> Result:
        return CliRunner().invoke(app, ["audit", *map(str, args)], catch_exceptions=False)

    return invoke


def test_a_table_of_anybodys_reward(run: Run) -> None:
    result = run("--reward", "toy_rewards:still", *QUICK)
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    head = next(line for line in lines if line[:1] == ["distortion"])
    assert head == "distortion its score spearman least drop beats others falls most".split()
    noise = next(line for line in lines if line[:1] == ["noise"])
    assert noise[:4] == ["noise", "reward", "1.00", "1.00"]
    for word in ("reencode", "over_exposure", "degraded", "spearman 0.8", "ascent 0.5"):
        assert word in result.stdout
    assert "scoring" not in result.stdout
    failed = [line for line in result.stderr.splitlines() if "checks failed" in line]
    assert failed and failed[0].startswith("aigv-reward: ")


def test_json_is_the_whole_result_whatever_the_reward_prints(run: Run) -> None:
    result = run("--reward", "toy_rewards:bright", *QUICK, "--format", "json", "--seed", 3)
    found = json.loads(result.stdout)
    assert (found["schema"], found["reward"]) == (1, "toy_rewards:bright")
    settings = found["settings"]
    assert settings["distortions"] == ["noise", "jitter"] and settings["seed"] == 3
    assert settings["epsilon"] == pytest.approx(4 / 255)
    assert [clip["size"] for clip in found["clips"]] == [[4, 32, 48]] * 2
    assert "scoring 5" in result.stderr


def test_strict_fails_where_a_check_does_and_thresholds_decide(run: Run) -> None:
    command = ("--reward", "toy_rewards:bright", *QUICK, "--strict")
    assert run(*command).exit_code == 1
    loose = [f"{name}=-1" for name in ("spearman", "own", "pairs")]
    loose += [f"{name}=1e9" for name in ("harmless", "hack", "ascent")]
    result = run(*command, *(arg for text in loose for arg in ("--threshold", text)))
    assert (result.exit_code, "failed" in result.stderr) == (0, False)


def test_files_are_written_to_a_new_folder(run: Run, tmp_path: Path, clips: Any) -> None:
    out = tmp_path / "runs" / "audit"
    result = run(*clips.good[:2], "--reward", "toy_rewards:still", *QUICK, "--out", out)
    assert result.exit_code == 0
    assert f"wrote {out}/audit.json and {out}/index.html" in result.stderr
    found = json.loads((out / "audit.json").read_text())
    assert [clip["name"] for clip in found["clips"]] == clips.good[:2]
    assert found["clips"][0]["source_size"] == [6, 48, 64]
    assert "toy_rewards:still" in (out / "index.html").read_text()
    again = run("--reward", "toy_rewards:still", *QUICK, "--out", out)
    assert again.exit_code == 2
    assert "exists and is not an empty folder; name a new one" in again.stderr


def test_a_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("--reward", "toy_rewards:still", *QUICK, "--out", tmp_path / "file" / "deep")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr and "name another folder" in result.stderr


def test_a_checkpoint_with_prompts(run: Run, checkpoint: Path, clips: Any, tmp_path: Path) -> None:
    table = tmp_path / "prompts.csv"
    table.write_text(f"path,prompt\n{clips.good[0]},a cat\n{clips.good[1]},a dog\n")
    files = (*clips.good[:2], "--checkpoint", checkpoint, *QUICK, "--format", "json")
    plain, prompted = (json.loads(run(*files, *more).stdout) for more in ((), ("--prompts", table)))
    assert plain["untrained"] == ["motion"]
    assert plain["scores"] == ["technical", "motion", "semantic", "overall"]
    assert plain["reward"].startswith(f"{checkpoint} (score version")
    assert [clip["prompt"] for clip in prompted["clips"]] == ["a cat", "a dog"]
    for before, after in zip(plain["clips"], prompted["clips"], strict=True):
        assert abs(before["clean"]["semantic"] - after["clean"]["semantic"]) > 1e-4
        assert before["clean"]["motion"] == pytest.approx(after["clean"]["motion"], abs=1e-5)
    assert {climb["gradient"] for climb in plain["climbs"]} == {"present"}


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (("--reward", "toy_rewards:wrong"), 1, r"'scene 9000000' \(clean\); return a real tensor"),
        (("--reward", "toy_rewards:none"), 2, "has no 'none'"),
        (("--reward", "toy_rewards:still", "missing.mp4"), 1, r"missing\.mp4: it cannot be opened"),
        (("--reward", "a:b", "--checkpoint", "lite"), 2, "give --reward or --checkpoint, not both"),
        (("--reward", "toy_rewards:still", "--device", "abacus"), 2, "device 'abacus' cannot be"),
        (("--checkpoint", "nowhere"), 1, "unknown checkpoint 'nowhere'"),
        (("--prompts", "p.csv"), 2, "--prompts needs videos"),
        (("--distortions", "noise,rust"), 2, "unknown distortion 'rust'"),
        (("--epsilon", 300), 2, r"epsilon is 1\.17"),
        (("--threshold", "beauty=1"), 2, "names no check; write CHECK=VALUE with one of spearman"),
        (("--threshold", "hack=much"), 2, "'much' is no number"),
        (("--threshold", "hack=nan"), 2, "threshold hack is nan; it must be finite"),
    ],
)
def test_what_cannot_be_done(run: Run, args: tuple[object, ...], status: int, message: str) -> None:
    result = run(*QUICK, *args)
    assert result.exit_code == status
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert re.search(message, line)


def test_without_scipy_it_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    result = run("--reward", "toy_rewards:still")
    assert result.exit_code == 1
    assert 'audit needs scipy: pip install "aigv-reward[train]"' in result.stderr

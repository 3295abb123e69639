from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner, Result

from aigv_reward import VideoReward
from aigv_reward.cli.errors import CommandError, CommandGroup
from aigv_reward.cli.train import extra_needed, train
from aigv_reward.distortions import encode_mp4
from aigv_reward.training.run_folder import last_state

app = typer.Typer(cls=CommandGroup, pretty_exceptions_enable=False)
app.callback()(lambda: None)
app.command()(train)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mos.csv rates 12 clips by their noise, two a prompt; pairs.csv compares six of them."""
    folder = tmp_path_factory.mktemp("videos")
    rows, pairs = ["path,prompt,technical,mos"], ["path_A,path_B,prompt,VQ"]
    for index in range(12):
        noise = torch.randn(4, 3, 48, 64, generator=torch.Generator().manual_seed(index))
        frames = (120 + index + 8 * index * noise).clamp(0, 255).to(torch.uint8)
        encode_mp4(folder / f"{index}.mp4", frames, 8.0, preset="ultrafast")
        rows.append(f"{index}.mp4,prompt {index // 2},{5 - index / 3},{5 - index / 4}")
        if index % 2:
            pairs.append(f"{index - 1}.mp4,{index}.mp4,prompt {index // 2},A")
    (folder / "mos.csv").write_text("\n".join(rows) + "\n")
    (folder / "pairs.csv").write_text("\n".join(pairs) + "\n")
    return folder


@pytest.fixture
def config(videos: Path, checkpoint: Path, tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    values = {
        "opinions": [str(videos / "mos.csv")],
        "checkpoint": str(checkpoint),
        "output_dir": str(tmp_path / "out"),
        "feature_cache": str(videos / "features"),
        "train_towers": [],
        "num_train_epochs": 2,
        "validation_fraction": 0.25,
        "test_fraction": 0.25,
        "dataloader_num_workers": 0,
        "report_to": "none",
        "use_cpu": True,
    }
    file.write_text(yaml.safe_dump(values))
    return file


def test_a_run_says_what_it_trains_on_and_how_well(config: Path, videos: Path) -> None:
    out = config.parent / "out"
    pairs = f"preferences={videos / 'pairs.csv'}"
    result = run(config, "--set", "learning_rate=1e-3", "--set", pairs)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "train: 6 rows, 3 pairs, 6 videos, 3 prompts"
    assert {line.split(":")[0] for line in lines[:3]} == {"train", "validation", "test"}
    assert lines[3] == f"learning technical, overall; writing to {out}"
    figures = [line.split() for line in lines if line.strip().startswith(("validation ", "test "))]
    names = [cells[1] for cells in figures]
    assert names == ["technical", "overall", "mean"] * 2
    results = json.loads((out / "results.json").read_text())
    assert figures[3][2] == f"{results['test']['srcc_technical']:.3f}"
    assert lines[-3].endswith("; calibrated on training rows, 6 videos")
    assert lines[-2] == f"wrote {out}: config.json, model.safetensors"
    assert lines[-1] == f"use it: aigv-reward score --checkpoint {out} VIDEO"
    assert "'eval_srcc'" in result.stderr and "'eval_srcc'" not in result.stdout
    assert VideoReward.from_pretrained(out).trained == ("technical", "overall")
    assert VideoReward.from_pretrained(out).model.config.source["recipe"]["learning_rate"] == 1e-3


def press_ctrl_c_after_the_first_state(folder: Path) -> None:
    while last_state(folder) is None:
        time.sleep(0.002)
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_leaves_a_run_that_resumes(config: Path) -> None:
    out = config.parent / "out"
    # Nothing improves, so patience alone ends the run.
    more = ("num_train_epochs=1000", "learning_rate=1e-12", "early_stopping_patience=25")
    overrides = [word for key in more for word in ("--set", key)]
    threading.Thread(target=press_ctrl_c_after_the_first_state, args=(out,)).start()
    stopped = run(config, *overrides)
    assert stopped.exit_code == 130
    state = last_state(out)
    said = f"aigv-reward: interrupted; {state} holds the state; go on with aigv-reward train "
    assert stopped.stderr.splitlines()[-1] == f"{said}{config} --resume and the same --set"
    assert not (out / "results.json").exists()

    again = run(config, *overrides)
    assert again.exit_code == 1
    assert f"holds a run that reached {state.name}; go on with --resume" in again.stderr
    resumed = run(config, *overrides, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert f"going on from {state}" in resumed.stdout.splitlines()
    assert "26 steps, weights of step 1; calibrated on" in resumed.stdout


def test_ctrl_c_before_anything_was_saved(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aigv_reward.training.run_inputs.inspect_videos", press)
    stopped = run(config)
    assert stopped.exit_code == 130
    assert stopped.stderr == (
        "aigv-reward: interrupted; nothing was saved yet; run the same command again\n"
    )


def test_skipped_videos_are_listed(config: Path, videos: Path) -> None:
    listed = (videos / "mos.csv").read_text() + f"{config.parent}/none.mp4,prompt 9,3,3\n"
    (config.parent / "mos.csv").write_text(listed)
    overrides = [
        *("--set", f"opinions={config.parent / 'mos.csv'}", "--set", f"root={videos}"),
        *("--set", "max_steps=1", "--set", "eval_strategy=no", "--set", "save_strategy=no"),
        *("--set", "load_best_model_at_end=false", "--set", "early_stopping_patience=null"),
    ]
    refused = run(config, *overrides)
    assert refused.exit_code == 1
    assert "1 of 13 videos cannot be read: '" in refused.stderr
    assert "set skip_unreadable: true to train without their rows" in refused.stderr
    result = run(config, *overrides, "--set", "skip_unreadable=true")
    assert result.exit_code == 0, result.stderr
    assert "skipped: 1 videos that cannot be read\n" in result.stdout
    assert f"  {config.parent}/none.mp4: it cannot be opened: No such file" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["none.yaml"], 2, "file 'none.yaml' does not exist"),
        (["--set", "learning_rat=1"], 2, "unknown config key 'learning_rat'; did you mean"),
        (["--set", "tie_k=0"], 2, "tie_k is 0.0; it must be above 1"),
        (["--resume"], 1, "has no saved state to resume; run without --resume"),
        (["--set", "opinions=none.csv"], 1, "list 'none.csv' does not exist; give a path to .txt"),
        (["--set", "checkpoint=none"], 1, "unknown checkpoint 'none'; give a folder"),
        (["--set", "mos_range=[1, 3]"], 1, "outside 1..3; give the scale of your scores, e.g."),
        (["--set", "prompt_rate=0.5"], 1, "the text prompt of"),
        (["--set", "output_dir=/dev/null/out"], 1, "'/dev/null/out' cannot be written"),
    ],
)
def test_what_cannot_be_trained_is_one_line(
    arguments: list[str], status: int, message: str, config: Path, videos: Path
) -> None:
    if arguments[-1].startswith("prompt_rate"):
        text = (videos / "mos.csv").read_text().replace("prompt 3", "prompt " * 30)
        (videos / "long.csv").write_text(text)
        arguments = [*arguments, "--set", f"opinions={videos / 'long.csv'}"]
    first = [] if arguments[0].endswith(".yaml") else [config]
    result = run(*first, *arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert message in result.stderr
    assert result.stderr.startswith("aigv-reward: error: ") and result.stderr.count("\n") == 1


def test_the_keys_are_printed() -> None:
    result = run("--keys")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["key", "default", "meaning"]
    assert any(line.split()[:2] == ["learning_rate", "1.0e-05"] for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(
        CommandError, match=r'training needs scipy: pip install "aigv-reward\[train'
    ):
        with extra_needed():
            import scipy.stats  # noqa: F401

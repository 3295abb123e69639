"""The one command that trains the bundled default: its stages, in order, each run once."""

import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from aigv_reward.training import default


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Runs the command with stages that only say that they ran; returns what they said."""
    weights = {f"{name}.weight": torch.full((2,), i) for i, name in enumerate(default.VIEWS)}
    save_file(weights | {"language_model.weight": torch.ones(1)}, tmp_path / "start.safetensors")
    ran = []

    class Done:
        def __init__(self, code):
            self.returncode = code

    def run(fail=None):
        def stage(arguments, **_):
            ran.append(arguments[2:])
            return Done(int(arguments[2].endswith(f".{fail}")))

        monkeypatch.setattr(default.subprocess, "run", stage)
        work = tmp_path / "work"
        (work / "lite").mkdir(parents=True, exist_ok=True)
        (work / "lite" / "held_out.txt").write_text("table\n")
        start = str(tmp_path / "start.safetensors")
        monkeypatch.setattr(sys, "argv", ["default", str(work), "--start", start])
        ran.clear()
        default.main()
        return ran

    run.ran, run.work = ran, tmp_path / "work"
    return run


def test_stages_run_in_order_from_the_weights_of_before(command, capsys):
    ran = [words[0].removeprefix("aigv_reward.training.") for words in command()]
    assert ran[:3] == ["pool", "ladders", "ladders"]
    assert sorted(ran[3:5]) == ["fresh_warm_up", "fresh_warm_up"]
    assert ran[5:] == ["warm_up", "features", "features", "features", "lite"]
    assert "table" in capsys.readouterr().out
    for i, name in enumerate(default.VIEWS):
        weights = load_file(command.work / "start" / f"{name}.safetensors")
        assert list(weights) == ["weight"]
        assert weights["weight"].tolist() == [i, i]


def test_every_encoder_learns_on_from_its_own_weights(command):
    words = [[str(word) for word in words] for words in command()]
    starts = {row[row.index("--start") + 1].rpartition("/")[2] for row in words if "--start" in row}
    assert starts == {f"{name}.safetensors" for name in default.VIEWS}


def test_a_failed_run_goes_on_where_it_stopped(command):
    with pytest.raises(RuntimeError, match=r"warm_up .* ended with status 1"):
        command(fail="warm_up")
    ran = [words[0].removeprefix("aigv_reward.training.") for words in command()]
    assert ran == ["warm_up", "features", "features", "features", "lite"]
    assert command() == []

"""Rewards by import path: functions, factories, classes, and everything that is none."""

import sys
from pathlib import Path

import pytest
import torch

from aigv_reward.evaluation.import_reward import import_reward

SOURCE = """
import torch

def plain(frames, prompts, *, fps=None):
    return frames.mean(dim=(1, 2, 3, 4))

def any_arguments(*args, **kwargs):
    return args[0].mean(dim=(1, 2, 3, 4))

def factory():
    return plain

def factory_with_defaults(gain=2.0, *, offset=0.0):
    return lambda frames, prompts, *, fps=None: gain * plain(frames, prompts) + offset

class Made:
    def __call__(self, frames, prompts, *, fps=None):
        return plain(frames, prompts)

    @classmethod
    def build(cls):
        return cls()

class Needs:
    def __init__(self, path):
        self.path = path

class Module(torch.nn.Module):
    def forward(self, frames, prompts, *, fps=None):
        return plain(frames, prompts)

instance = Module()
number = 3

def fails():
    raise OSError("no weights")

def gives_nothing():
    return None
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "audited_reward.py").write_text(SOURCE)
    (tmp_path / "broken_reward.py").write_text("import nothing_of_this_name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/nowhere"])
    monkeypatch.delitem(sys.modules, "audited_reward", raising=False)


@pytest.mark.parametrize(
    ("name", "gain"),
    [
        ("plain", 1),
        ("any_arguments", 1),
        ("factory", 1),
        ("factory_with_defaults", 2),
        ("Made", 1),
        ("Made.build", 1),
        ("instance", 1),
        ("Module", 1),
    ],
)
def test_a_reward_or_what_returns_one(name: str, gain: float) -> None:
    reward = import_reward(f"audited_reward:{name}")
    frames = torch.rand(2, 3, 3, 4, 4)
    expected = gain * frames.mean(dim=(1, 2, 3, 4))
    torch.testing.assert_close(reward(frames, None, fps=8.0), expected)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("audited_reward", "is no import path; write package.module:name"),
        ("audited_reward:", "is no import path"),
        (":plain", "is no import path"),
        ("no_such_module:plain", "cannot be imported .ModuleNotFoundError: .*no_such_module"),
        ("broken_reward:plain", "cannot be imported .*nothing_of_this_name"),
        ("audited_reward:beauty", "has no 'beauty'"),
        ("audited_reward:Made.beauty", "has no 'beauty'"),
        ("audited_reward:number", "is 3, which cannot be called"),
        ("audited_reward:Needs", "is a class that needs arguments; name a function without any"),
        ("audited_reward:fails", "failed when called .OSError: no weights"),
        ("audited_reward:gives_nothing", "returned None, which cannot be called"),
    ],
)
def test_what_is_no_reward_says_why(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_reward(path)

"""GenRLScore in a small GenRL: score functions of a module that its config names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from aigv_reward.integrations.frameworks import GenRLScore
from aigv_reward.integrations.rewards import BatchScores


def multi_score(device: torch.device, weights: dict[str, float], module: ModuleType) -> Any:
    """GenRL's composition of rewards: the mean of weighted tensors of one device."""
    fns = {name: getattr(module, f"{name}_score")(device) for name in weights}

    def score(images: Tensor, prompts: list[str], metadata: Any, only_strict: bool = True) -> Any:
        scores = {}
        for name, fn in fns.items():
            out, _ = fn(images, prompts, metadata)
            scores[name] = out["avg"] * weights[name]
            assert scores[name].device == device and not scores[name].requires_grad
        scores["avg"] = torch.stack([scores[name] for name in weights]).mean(0)
        return scores, {}

    return score


def test_videos(reward: Any, frames: Tensor, prompts: list[str], expected: BatchScores) -> None:
    module = ModuleType("my_rewards")
    module.aigv_score = lambda device: GenRLScore(reward, device, fps=16)  # type: ignore[attr-defined]
    module.motion_score = lambda device: GenRLScore(  # type: ignore[attr-defined]
        reward, device, fps=16, weights={"motion": 1.0}
    )
    fn = multi_score(torch.device("cpu"), {"aigv": 1.0, "motion": 0.5}, module)
    found, _ = fn(frames.clone().requires_grad_(), prompts, [{}, {}])
    motion = 0.5 * expected.values["motion"]
    torch.testing.assert_close(found["aigv"], expected.total, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["motion"], motion, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["avg"], (expected.total + motion) / 2, rtol=1e-5, atol=1e-5)


def test_dimensions_are_the_second_value(
    reward: Any, frames: Tensor, prompts: list[str], expected: BatchScores
) -> None:
    scores, extras = GenRLScore(reward, "cpu", fps=16)(frames, prompts, {}, only_strict=False)
    assert scores.keys() == {"avg"}
    torch.testing.assert_close(extras, expected.values, rtol=1e-5, atol=1e-5)


def test_scores_go_to_the_device(toy: Any, frames: Tensor, prompts: list[str]) -> None:
    """GenRL stacks the scores of all its rewards; "meta" stands for its accelerator."""
    scores, extras = GenRLScore(toy, "meta", fps=16)(frames, prompts, {})
    assert {one.device.type for one in (scores["avg"], *extras.values())} == {"meta"}


def test_failures_raise(toy: Any, broken: Any, frames: Tensor, prompts: list[str]) -> None:
    with pytest.raises(ValueError, match="'reward' is not finite for video 1"):
        GenRLScore(broken, "cpu", fps=16)(frames, prompts)
    with pytest.raises(ValueError, match="expected layout 'btchw'"):
        GenRLScore(toy, "cpu", fps=16)(frames.transpose(1, 2), prompts)
    with pytest.raises(ValueError, match="the video is a ndarray"):
        GenRLScore(toy, "cpu", fps=16)(frames.numpy(), prompts)
    with pytest.raises(ValueError, match="prompts is 'a cat' for 2 videos"):
        GenRLScore(toy, "cpu", fps=16)(frames, "a cat")
    with pytest.raises(ValueError, match="fps is -1"):
        GenRLScore(toy, "cpu", fps=-1)


def test_the_readme(
    snippets: Callable[[str], list[tuple[str, str]]],
    frames: Tensor,
    prompts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The config names the module, and functions that it has."""
    (_, code), (_, text) = snippets("GenRL")
    config = yaml.safe_load(text)
    (tmp_path / f"{config['reward_module']}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop(config["reward_module"], None)  # other tests call theirs so, too
    module = importlib.import_module(config["reward_module"])
    monkeypatch.delitem(sys.modules, config["reward_module"])
    found, _ = multi_score(torch.device("cpu"), config["reward_fn"], module)(frames, prompts, {})
    assert ((found["aigv"] > 1) & (found["aigv"] < 5)).all()

"""UniRLReward in a small UniRL: a backend of its reward role, in the graph of the decoder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import pytest
import torch
import yaml
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.frameworks import UniRLReward
from aigv_reward.integrations.rewards import BatchScores


@runtime_checkable
class DifferentiableReward(Protocol):
    def compute_rewards_differentiable(
        self, media_tensor: Tensor, prompts: list[str], records: Any = None
    ) -> Tensor: ...


class RewardService:
    """UniRL's reward role, as far as ReFL asks it."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend

    def score_differentiable(self, media: Tensor, prompts: list[str]) -> Tensor:
        if not isinstance(self.backend, DifferentiableReward):
            raise TypeError("not a DifferentiableReward")
        assert self.backend.preferred_input_kind == "video" and media.ndim == 5
        return self.backend.compute_rewards_differentiable(media, prompts, records=[{}, {}])


def instantiate(config: dict[str, Any]) -> Any:
    """Hydra's instantiate, as far as a backend needs it."""
    given = dict(config)
    module, _, name = given.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), name)(**given)


@pytest.fixture
def named(toy: Any, broken: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("my_rewards")
    module.toy, module.broken = toy, broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_rewards", module)
    return "my_rewards:toy"


def test_the_loss_reaches_the_decoder(
    reward: Any, named: str, frames: Tensor, prompts: list[str], expected: BatchScores
) -> None:
    chosen = {} if isinstance(reward, VideoReward) else {"reward": named}
    backend = UniRLReward("cpu", fps=16, **chosen)
    decoded = (frames.transpose(1, 2) * 2 - 1).requires_grad_()
    scores = RewardService(backend).score_differentiable(decoded, prompts)
    torch.testing.assert_close(scores.detach(), expected.total, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dict(backend.scores), expected.values, rtol=1e-5, atol=1e-5)
    (-scores.float().mean()).backward()

    alone = decoded.detach().requires_grad_()
    value = reward((alone.transpose(1, 2) + 1) / 2, prompts, fps=16.0)
    (-(value["overall"] if isinstance(value, dict) else value).mean()).backward()
    assert decoded.grad is not None and decoded.grad.abs().sum() > 0
    torch.testing.assert_close(decoded.grad, alone.grad, rtol=1e-4, atol=1e-8)


def test_overshoot_is_clamped_with_its_gradient(named: str, frames: Tensor) -> None:
    backend = UniRLReward("cpu", fps=16, reward=named)
    inside = frames.transpose(1, 2) * 2 - 1
    outside = (inside * 1.03).requires_grad_()
    scores = backend(outside, ["", ""])
    torch.testing.assert_close(scores, backend(outside.detach().clamp(-1, 1), ["", ""]))
    (grad,) = torch.autograd.grad(scores.sum(), outside)
    bright = outside > 1
    assert bright.any() and (grad[bright] > 0).all()


def test_the_life_of_a_backend(lite: VideoReward, frames: Tensor, prompts: list[str]) -> None:
    backend = UniRLReward("cpu", fps=16, dtype="bfloat16", weights={"motion": 1.0})
    assert backend.reward.dtype == torch.bfloat16 and backend.input_kind == "video"
    assert backend.get_model_name() == "aigv_reward" and backend.is_available()
    before = backend(frames.transpose(1, 2) * 2 - 1, prompts)
    backend.offload()
    backend.onload()
    assert backend.reward.device == torch.device("cpu")
    assert torch.equal(backend(frames.transpose(1, 2) * 2 - 1, prompts), before)


def test_a_named_reward_stays_where_it_is(named: str) -> None:
    backend = UniRLReward("cpu", fps=16, reward=named)
    backend.offload()
    backend.onload()


def test_failures_raise(named: str, frames: Tensor, prompts: list[str]) -> None:
    media = frames.transpose(1, 2) * 2 - 1
    backend = UniRLReward("cpu", fps=16, reward=named)
    with pytest.raises(ValueError, match="expected layout 'bcthw'"):
        backend(media[:, :, 0], prompts)
    with pytest.raises(ValueError, match=r"the video is torch.uint8; expected float in \[-1.0, 1"):
        backend(media.byte(), prompts)
    with pytest.raises(ValueError, match=r"expected finite values in -1..1"):
        backend(media * 255, prompts)
    with pytest.raises(ValueError, match="'reward' is not finite for video 1"):
        UniRLReward("cpu", fps=16, reward="my_rewards:broken")(media, prompts)
    with pytest.raises(ValueError, match="unknown option 'config'; choose from fps, reward"):
        UniRLReward("cpu", fps=16, config={})
    with pytest.raises(ValueError, match="fps is None"):
        UniRLReward("cpu")


def test_the_readme(
    snippets: Callable[[str], list[tuple[str, str]]], frames: Tensor, prompts: list[str]
) -> None:
    ((_, text),) = snippets("UniRL")
    backend = {**yaml.safe_load(text)["reward"]["backend"], "base_device": "cpu"}
    service = RewardService(instantiate(backend))
    decoded = (frames.transpose(1, 2) * 2 - 1).requires_grad_()
    scores = service.score_differentiable(decoded, prompts)
    scores.sum().backward()
    assert ((scores > 1) & (scores < 5)).all() and decoded.grad.abs().sum() > 0

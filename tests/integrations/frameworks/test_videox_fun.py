"""VideoXFunReward in a small VideoX-Fun: built from JSON, back-propagated through."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.frameworks import VideoXFunReward
from aigv_reward.integrations.rewards import BatchScores


def build(module: Any, name: str, kwargs: str, dtype: torch.dtype = torch.float32) -> Any:
    """The script: a class of the reward module, by name, with JSON for arguments."""
    return getattr(module, name)(device="cpu", dtype=dtype, **json.loads(kwargs))


def backward(loss_fn: Any, latents: Tensor, prompts: list[str]) -> tuple[Tensor, Tensor]:
    """One step: decode to (B, C, T, H, W) in [0, 1], score, back-propagate the loss."""
    decoded = (latents * 2 - 1).clamp(-1, 1)
    loss, reward = loss_fn((decoded / 2 + 0.5).clamp(0, 1), prompts)
    loss.repeat(len(prompts)).mean().backward()
    return loss.detach(), reward.detach()


class Module:
    VideoXFunReward = VideoXFunReward


@pytest.fixture
def named(toy: Any, broken: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("my_rewards")
    module.toy, module.broken, module.number = toy, broken, 3  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "my_rewards", module)
    return "my_rewards:toy"


@pytest.mark.parametrize(
    ("reward", "options"),
    [("toy", {}), ("toy", {"max_reward": 4.0, "loss_scale": 0.1}), ("lite", {"max_reward": 4.0})],
    indirect=["reward"],
)
def test_the_loss_reaches_the_frames(
    reward: Any,
    named: str,
    frames: Tensor,
    prompts: list[str],
    expected: BatchScores,
    options: dict[str, float],
) -> None:
    chosen = {} if isinstance(reward, VideoReward) else {"reward": named}
    loss_fn = build(Module, "VideoXFunReward", json.dumps({"fps": 16, **chosen, **options}))
    latents = frames.transpose(1, 2).clone().requires_grad_()
    loss, value = backward(loss_fn, latents, prompts)
    torch.testing.assert_close(value, expected.total.mean(), rtol=1e-5, atol=1e-5)
    scale = options.get("loss_scale", 1.0)
    far = (expected.total - 4).abs() * scale if options else -expected.total
    torch.testing.assert_close(loss, far.mean(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(dict(loss_fn.scores), expected.values, rtol=1e-5, atol=1e-5)

    def alone(media: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        scores = reward(media.transpose(1, 2), texts, fps=16.0)
        total = scores["overall"] if isinstance(scores, dict) else scores
        far = (total - 4).abs() * scale if options else -total
        return far.mean(), total

    again = latents.detach().requires_grad_()
    backward(alone, again, prompts)
    assert latents.grad is not None and latents.grad.abs().sum() > 0
    torch.testing.assert_close(latents.grad, again.grad, rtol=1e-4, atol=1e-8)


def test_rewards_of_every_video_and_dimension(
    lite: VideoReward, frames: Tensor, prompts: list[str]
) -> None:
    weights = {"motion": 0.5, "technical": 0.5}
    loss_fn = build(Module, "VideoXFunReward", json.dumps({"fps": 16, "weights": weights}))
    media = frames.transpose(1, 2).clone().requires_grad_()
    total = loss_fn.get_reward(media, prompts)
    values = loss_fn.get_reward_all_dims(media, prompts)
    assert total.shape == (2,) and total.requires_grad and values["motion"].requires_grad
    mean = (values["motion"] + values["technical"]) / 2
    torch.testing.assert_close(total, mean, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(
            values, lite.by_dimension(frames, prompts, fps=16), rtol=1e-5, atol=1e-5
        )
        assert loss_fn(media)[1].shape == ()  # the host's prompt is optional


def test_weights_in_half_precision(frames: Tensor, prompts: list[str]) -> None:
    loss_fn = build(Module, "VideoXFunReward", '{"fps": 16}', torch.bfloat16)
    assert loss_fn.reward.dtype == torch.bfloat16
    latents = frames.transpose(1, 2).bfloat16().requires_grad_()
    backward(loss_fn, latents, prompts)
    assert latents.grad is not None and torch.isfinite(latents.grad).all()
    assert latents.grad.abs().sum() > 0


def test_what_cannot_be_built(named: str) -> None:
    def refused(message: str, kwargs: str) -> None:
        with pytest.raises(ValueError, match=message):
            build(Module, "VideoXFunReward", kwargs)

    refused("fps is None; give the positive frames per second", "{}")
    refused(
        "unknown option 'version'; choose from fps, reward, weights, checkpoint, calibrated, "
        "gradient_checkpointing",
        '{"fps": 16, "version": "v2.1"}',
    )
    refused("unknown dimension 'sharpness'", '{"fps": 16, "weights": {"sharpness": 1.0}}')
    refused(r"weights is 0.5; write \{dimension: weight\}", '{"fps": 16, "weights": 0.5}')
    refused(
        "checkpoint belongs to a checkpoint; leave it out",
        json.dumps({"fps": 16, "reward": named, "checkpoint": "lite"}),
    )
    for name in ("my_rewards", "my_rewards:absent", "my_rewards:number"):
        refused(
            f"reward='{name}' names no callable; write 'module:name'",
            json.dumps({"fps": 16, "reward": name}),
        )
    with pytest.raises(ModuleNotFoundError, match="no_such_rewards"):
        build(Module, "VideoXFunReward", '{"fps": 16, "reward": "no_such_rewards:toy"}')


def test_failures_raise(named: str, frames: Tensor, prompts: list[str]) -> None:
    media = frames.transpose(1, 2)
    toy = VideoXFunReward(fps=16, reward=named)
    with pytest.raises(ValueError, match="expected layout 'bcthw'"):
        toy(frames, prompts)
    with pytest.raises(ValueError, match=r"spans -1..1; expected finite values in 0..1"):
        toy(media * 2 - 1, prompts)
    with pytest.raises(ValueError, match="prompts is 1 entries for 2 videos"):
        toy(media, prompts[:1])
    with pytest.raises(ValueError, match="'reward' is not finite for video 1"):
        VideoXFunReward(fps=16, reward="my_rewards:broken")(media, prompts)


def test_the_readme(
    snippets: Callable[[str], list[tuple[str, str]]], frames: Tensor, prompts: list[str]
) -> None:
    (_, code), (_, flags) = snippets("VideoX-Fun")
    module = ModuleType("reward_fn")
    exec(code, module.__dict__)
    (name,) = re.findall(r'--reward_fn="(\w+)"', flags)
    (kwargs,) = re.findall(r"--reward_fn_kwargs='(.*)'", flags)
    _, value = backward(
        build(module, name, kwargs), frames.transpose(1, 2).clone().requires_grad_(), prompts
    )
    assert 1 < float(value) < 5

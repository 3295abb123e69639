"""`VideoReward` is a `RewardFn`, and so is a plain function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from aigv_reward import RewardFn, VideoReward


def brightness(
    frames: Tensor, prompts: Sequence[str | None] | None, *, fps: float | Tensor | None = None
) -> Tensor:
    return frames.float().mean(dim=(1, 2, 3, 4))


def both(
    frames: Tensor, prompts: Sequence[str | None] | None, *, fps: float | Tensor | None = None
) -> Mapping[str, Tensor]:
    return {"light": brightness(frames, prompts), "dark": -brightness(frames, prompts)}


def accept(reward: RewardFn, frames: Tensor) -> Tensor | Mapping[str, Tensor]:
    return reward(frames, None, fps=16.0)


def test_rewards_are_called_alike(reward: VideoReward, clip: Callable[..., Tensor]) -> None:
    frames = torch.stack([clip(), clip(seed=1)])
    typed: RewardFn = reward  # the type checker's part of this test
    for function in (typed, brightness, both):
        result = accept(function, frames)
        columns = result.values() if isinstance(result, Mapping) else [result]
        assert all(column.shape == (2,) for column in columns)


def test_the_protocol_s_arguments_mean_the_same_to_the_class() -> None:
    asked = inspect.signature(RewardFn.__call__).parameters
    offered = inspect.signature(VideoReward.__call__).parameters
    for name, parameter in asked.items():
        assert offered[name].kind == parameter.kind
    extra = [parameter for name, parameter in offered.items() if name not in asked]
    assert all(parameter.default is not parameter.empty for parameter in extra)
    assert list(offered)[: len(asked)] == list(asked)

"""All dimensions of a batch in memory, in one differentiable pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, AIGVRewardModel, VideoReward


@pytest.fixture(scope="module")
def batch(clip: Callable[..., Tensor]) -> Tensor:
    return torch.stack([clip(seed=seed) for seed in range(3)])


def test_it_equals_score(reward: VideoReward, batch: Tensor) -> None:
    prompts = ["a cat", None, "a dog"]
    values = reward.by_dimension(batch, prompts)
    scores = reward.score(batch, prompts)
    assert tuple(values) == DIMENSIONS
    for name, value in values.items():
        torch.testing.assert_close(value, scores[name], rtol=0, atol=1e-5)


def test_its_weighted_sum_is_the_reward(model: AIGVRewardModel, batch: Tensor) -> None:
    reward = VideoReward(model, weights={"motion": 0.5, "technical": -2.0}, calibrated=True)
    values = reward.by_dimension(batch, dimensions=["motion", "technical"])
    total = 0.5 * values["motion"] - 2.0 * values["technical"]
    torch.testing.assert_close(reward(batch), total, rtol=0, atol=1e-5)


def test_layouts_ranges_and_rates_are_those_of_the_call(
    timed_reward: VideoReward, batch: Tensor
) -> None:
    expected = timed_reward.by_dimension(batch, fps=16.0)
    other = (batch.float() / 127.5 - 1).transpose(1, 2)
    values = timed_reward.by_dimension(other, fps=16.0, layout="bcthw", value_range=(-1, 1))
    for name in DIMENSIONS:
        torch.testing.assert_close(values[name], expected[name], rtol=0, atol=2e-2)
    with pytest.raises(ValueError, match="fps"):
        timed_reward.by_dimension(batch)
    with pytest.raises(ValueError, match="unknown dimension 'beauty'; this reward scores"):
        timed_reward.by_dimension(batch, fps=16.0, dimensions=["beauty"])  # type: ignore[list-item]


def test_the_gradient_of_every_dimension_is_that_of_the_reward(
    double_model: AIGVRewardModel, clip: Callable[..., Tensor]
) -> None:
    frames = (clip().double() / 255 * 0.8 + 0.1)[None].requires_grad_()
    values = VideoReward(double_model).by_dimension(frames)
    for name in DIMENSIONS:
        (gradient,) = torch.autograd.grad(values[name].sum(), frames, retain_graph=True)
        alone = VideoReward(double_model, weights={name: 1.0})(frames)
        (expected,) = torch.autograd.grad(alone.sum(), frames)
        assert float(gradient.abs().sum()) > 0
        torch.testing.assert_close(gradient, expected)

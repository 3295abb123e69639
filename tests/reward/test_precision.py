"""Precision and placement of the model."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, VideoReward


@pytest.fixture(scope="module")
def clips(clip: Callable[..., Tensor]) -> list[Tensor]:
    return [clip(seed=0), clip(5, 30, 30, seed=1), clip(seed=2).float() / 255]


def test_bfloat16_is_close(own_reward: VideoReward, clips: list[Tensor]) -> None:
    expected = own_reward.score(clips)
    assert own_reward.to(dtype=torch.bfloat16) is own_reward
    assert own_reward.dtype == torch.bfloat16 and own_reward.device.type == "cpu"
    scores = own_reward.score(clips)
    for name in DIMENSIONS:
        assert scores[name].dtype == torch.float32
        torch.testing.assert_close(scores[name], expected[name], rtol=0, atol=0.05)
    frames = clips[2][None].clone().requires_grad_()
    own_reward(frames).sum().backward()
    assert frames.grad.dtype == torch.float32 and frames.grad.isfinite().all()
    assert frames.grad.abs().sum() > 0


def test_float64_is_close_and_stays_float64(own_reward: VideoReward, clips: list[Tensor]) -> None:
    expected = own_reward.score(clips)
    own_reward.to(dtype=torch.float64)
    scores = own_reward.score(clips)
    for name in DIMENSIONS:
        assert scores[name].dtype == torch.float64
        torch.testing.assert_close(scores[name].float(), expected[name], rtol=0, atol=1e-5)
    views = own_reward.prepare(clips[2].double())
    assert {part.dtype for part in vars(views).values()} == {torch.float64}


def test_to_moves_only_what_is_named(own_reward: VideoReward) -> None:
    own_reward.to("cpu")
    assert own_reward.dtype == torch.float32
    own_reward.to("cpu", torch.bfloat16).to(torch.device("cpu"))
    assert own_reward.dtype == torch.bfloat16
    own_reward.to("meta")
    assert own_reward.device.type == "meta" and own_reward.dtype == torch.bfloat16


def test_every_tensor_of_a_pass_is_made_on_the_model_s_device(
    own_reward: VideoReward, clips: list[Tensor]
) -> None:
    # The meta device refuses to mix with the CPU, as an accelerator does.
    views = own_reward.prepare(clips[0])
    own_reward.to("meta")
    model = own_reward.model
    output = model(*(part.to("meta") for part in vars(views).values()))
    assert output.scores.device.type == "meta" and output.scores.shape == (1, 4)
    on_device = own_reward.prepare(clips[2].to("cpu"))
    assert on_device.fast.device.type == "cpu"


def test_frames_may_lie_on_another_device_than_the_model(
    own_reward: VideoReward, clips: list[Tensor]
) -> None:
    # What reaches the model is on its device: only the final check of the scores needs values.
    own_reward.to("meta")
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        own_reward.score(clips)


def test_a_copy_scores_the_same_and_is_independent(
    reward: VideoReward, clips: list[Tensor]
) -> None:
    expected = reward.score(clips)
    copied = copy.deepcopy(reward)
    for name, value in copied.score(clips).values.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    for parameter in copied.model.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(reward.score(clips).overall, expected.overall, rtol=0, atol=0)

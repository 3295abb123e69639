"""How sure scores are: over views that are drawn, and over checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, Draws, LowerBoundReward, VideoReward
from aigv_reward.distortions import encode_mp4
from aigv_reward.views import build_views, frame_plan

Clip = Callable[..., Tensor]


@pytest.fixture
def second(reward: VideoReward) -> VideoReward:
    """The same architecture with other weights."""
    model = copy.deepcopy(reward.model)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter += 0.3 * parameter.std(correction=0) * noise
    return VideoReward(model, tokenizer=reward.tokenizer)


def test_a_spread_leaves_the_scores_alone(reward: VideoReward, clip: Clip) -> None:
    videos = [clip(30), clip(12, seed=1)]
    plain, spread = reward.score(videos), reward.score(videos, return_std=True)
    assert plain.std is None and spread.std is not None
    for name in DIMENSIONS:
        torch.testing.assert_close(spread[name], plain[name], rtol=0, atol=1e-5)
        assert spread.std[name].shape == (2,) and (spread.std[name] > 0).all()


def test_the_spread_is_that_of_scores_through_drawn_views(reward: VideoReward, clip: Clip) -> None:
    frames, draws = clip(30), Draws(count=3, seed=7)
    expected = []
    for generator in draws.generators()[1:]:
        plan = frame_plan(len(frames), reward.sampling, generator=generator)
        views = build_views(frames[None], plan, reward.sampling, generator=generator)
        expected.append(reward.score_views(views)["motion"])
    std = reward.score([frames], return_std=True, draws=draws).std
    assert std is not None
    torch.testing.assert_close(std["motion"], torch.stack(expected).std(dim=0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("clips", [1, 3])
def test_a_videos_spread_does_not_depend_on_its_batch(
    reward: VideoReward, clip: Clip, tmp_path: Path, clips: int
) -> None:
    path = tmp_path / "clip.mp4"
    encode_mp4(path, clip(20, seed=2), fps=16.0)
    videos = [clip(30), path, clip(12, seed=1)]
    together = reward.score(videos, return_std=True, clips=clips, batch_size=4).std
    assert together is not None
    for index, video in enumerate(videos):
        alone = reward.score([video], return_std=True, clips=clips).std
        assert alone is not None
        for name in DIMENSIONS:
            torch.testing.assert_close(alone[name][0], together[name][index], rtol=0, atol=1e-5)


def test_another_seed_draws_other_views(reward: VideoReward, clip: Clip) -> None:
    first = reward.score([clip(30)], return_std=True, draws=Draws(4, seed=0)).std
    again = reward.score([clip(30)], return_std=True, draws=Draws(4, seed=0)).std
    other = reward.score([clip(30)], return_std=True, draws=Draws(4, seed=1)).std
    assert first is not None and again is not None and other is not None
    torch.testing.assert_close(first["motion"], again["motion"], rtol=0, atol=0)
    assert not torch.equal(first["motion"], other["motion"])


def test_the_lower_bound_of_one_reward_is_mean_less_deviations(
    reward: VideoReward, clip: Clip
) -> None:
    frames = torch.stack([clip(30), clip(30, seed=1)])
    opinions = reward.drawn(frames, draws=Draws(4))
    assert opinions.shape == (4, 2)
    bound = LowerBoundReward(reward, deviations=1.5, draws=Draws(4))(frames)
    expected = opinions.mean(dim=0) - 1.5 * opinions.std(dim=0)
    torch.testing.assert_close(bound, expected, rtol=0, atol=1e-5)
    for index in range(2):
        alone = LowerBoundReward(reward, deviations=1.5, draws=Draws(4))(frames[index : index + 1])
        torch.testing.assert_close(alone[0], bound[index], rtol=0, atol=1e-5)


def test_the_lower_bound_of_checkpoints(
    reward: VideoReward, second: VideoReward, clip: Clip
) -> None:
    frames = clip(12)[None]
    first, other = reward(frames), second(frames)
    ensemble = LowerBoundReward([reward, second], deviations=2.0)
    expected = (first + other) / 2 - 2 * (first - other).abs() / 2**0.5
    torch.testing.assert_close(ensemble(frames), expected, rtol=0, atol=1e-5)
    scores = ensemble.score(frames)
    assert scores.std is not None
    bound = scores.lower_bound(2.0)["overall"]
    torch.testing.assert_close(bound, expected, rtol=0, atol=1e-5)


def test_pixels_get_a_gradient_of_the_lower_bound(
    reward: VideoReward, second: VideoReward, clip: Clip
) -> None:
    for rewards in (reward, [reward, second], [reward, reward]):
        frames = (clip(9)[None] / 255).requires_grad_()
        LowerBoundReward(rewards, draws=Draws(2))(frames).sum().backward()
        assert frames.grad is not None and torch.isfinite(frames.grad).all()
        assert frames.grad.abs().sum() > 0


def test_what_has_no_spread_is_refused(
    reward: VideoReward, second: VideoReward, clip: Clip
) -> None:
    with pytest.raises(ValueError, match=r"draws.count is 1; a standard deviation needs 2"):
        reward.score([clip(9)], return_std=True, draws=Draws(1))
    with pytest.raises(ValueError, match="ask for return_std=True"):
        reward.score([clip(9)]).lower_bound()
    with pytest.raises(ValueError, match="rewards is empty"):
        LowerBoundReward([])
    with pytest.raises(ValueError, match=r"deviations is -1.0; give 0 or more"):
        LowerBoundReward(reward, deviations=-1.0)
    with pytest.raises(ValueError, match="one reward needs 2 or more"):
        LowerBoundReward(reward, draws=Draws(1))
    second.calibrated = True
    with pytest.raises(ValueError, match="give checkpoints that agree"):
        LowerBoundReward([reward, second])

"""A score is a function of the video."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, VideoReward

SHAPES = [(12, 40, 56), (3, 24, 24), (1, 40, 40), (20, 64, 32), (2, 16, 90)]


@pytest.fixture(scope="module")
def clips(clip: Callable[..., Tensor]) -> list[Tensor]:
    return [clip(*shape, seed=seed) for seed, shape in enumerate(SHAPES)]


def table(scores: dict) -> Tensor:
    return torch.stack([scores[name] for name in DIMENSIONS], dim=1)


def test_equal_calls_give_equal_bits(reward: VideoReward, clips: list[Tensor]) -> None:
    first = table(reward.score(clips, clips=2).windows)
    torch.manual_seed(1)
    torch.testing.assert_close(table(reward.score(clips, clips=2).windows), first, rtol=0, atol=0)
    batch = torch.stack([clips[0], clips[0].flip(-1)]).float() / 255
    torch.testing.assert_close(reward(batch), reward(batch), rtol=0, atol=0)


@pytest.mark.parametrize("batch_size", range(1, 6))
@pytest.mark.parametrize("windows", [1, 3])
def test_batch_size_changes_nothing(
    reward: VideoReward, clips: list[Tensor], batch_size: int, windows: int
) -> None:
    alone = [table(reward.score([frames], clips=windows).values) for frames in clips]
    together = table(reward.score(clips, clips=windows, batch_size=batch_size).values)
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


@pytest.mark.parametrize("order", [(4, 3, 2, 1, 0), (1, 2, 3, 4, 0), (2, 0, 4, 1, 3)])
@pytest.mark.parametrize("batch_size", [2, 5])
def test_permuting_the_videos_permutes_the_scores(
    reward: VideoReward, clips: list[Tensor], order: tuple[int, ...], batch_size: int
) -> None:
    expected = table(reward.score(clips).values)[list(order)]
    permuted = reward.score([clips[index] for index in order], batch_size=batch_size)
    torch.testing.assert_close(table(permuted.values), expected, rtol=0, atol=1e-5)


def test_the_videos_beside_it_do_not_matter_to_a_batch(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    batch = torch.stack([clip(seed=seed) for seed in range(4)]).float() / 255
    full = reward(batch)
    for index in range(4):
        torch.testing.assert_close(
            reward(batch[index : index + 1])[0], full[index], atol=1e-5, rtol=0
        )
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(reward(batch[order]), full[order], rtol=0, atol=1e-5)


def test_the_order_of_frames_matters_to_motion(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    frames = clip()
    orders = torch.stack([frames, frames.flip(0), frames[torch.randperm(12)]])
    motion = reward.score(orders).motion
    assert (motion[1:] - motion[0]).abs().min() > 1e-3


def test_no_grad_and_grad_give_the_same_score(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    frames = (clip().float() / 255)[None]
    with torch.no_grad():
        expected = reward(frames)
    torch.testing.assert_close(
        reward(frames.requires_grad_()).detach(), expected, rtol=0, atol=1e-6
    )


def test_mode_of_the_model_is_left_to_the_caller(
    own_reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    batch = torch.stack([clip(), clip(seed=1)])
    evaluated = own_reward(batch)
    own_reward.model.train()
    trained = own_reward(batch)  # batch statistics in the motion pathway
    own_reward.score(batch)
    assert own_reward.model.training
    assert not torch.allclose(evaluated, trained, atol=1e-4)
    own_reward.model.eval()
    own_reward.score(batch)
    assert not own_reward.model.training

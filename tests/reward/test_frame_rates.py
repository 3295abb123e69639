"""Frame rates: needed where frames are sampled by time, ignored elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aigv_reward import Video, VideoReward

MISSING = "fps is None but frames are sampled every 0.1 s; pass the video's positive frame rate"


def test_index_based_sampling_ignores_the_rate(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    batch = torch.stack([clip(), clip(seed=1)])
    expected = reward(batch)
    for fps in (8, 24.0, [5, 60], torch.tensor([5.0, 60.0])):
        assert torch.equal(reward(batch, fps=fps), expected)
    assert not reward.sampling.needs_fps


def test_sampling_by_time_needs_a_rate(
    timed_reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    frames = clip()
    with pytest.raises(ValueError, match=MISSING):
        timed_reward(frames[None])
    for raw in (frames, frames.permute(0, 2, 3, 1).numpy()):
        with pytest.raises(ValueError, match=MISSING):
            timed_reward.score([raw])
    with pytest.raises(ValueError, match="fps is None"):
        timed_reward.score([frames, frames], fps=[10, None])
    for fps in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="pass the video's positive frame rate"):
            timed_reward(frames[None], fps=fps)


def test_videos_and_files_carry_their_own_rate(
    timed_reward: VideoReward,
    clip: Callable[..., Tensor],
    write: Callable[..., Path],
    tmp_path: Path,
) -> None:
    frames = clip(16)
    path = write(tmp_path / "clip.mp4", frames, fps=20)
    expected = timed_reward.score([frames], fps=20)
    scores = timed_reward.score([Video(frames, fps=20), path, frames], fps=[None, None, 20.0])
    overruled = timed_reward.score([Video(frames, fps=20), path, frames], fps=20)
    for name, value in expected.values.items():
        torch.testing.assert_close(scores[name], value.expand(3), rtol=0, atol=1e-5)
        torch.testing.assert_close(overruled[name], value.expand(3), rtol=0, atol=1e-5)
    other = timed_reward.score([Video(frames, fps=20)], fps=10)
    torch.testing.assert_close(other.motion, expected.motion, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["list", "tuple", "tensor", "array"])
def test_one_rate_a_video(
    timed_reward: VideoReward, clip: Callable[..., Tensor], kind: str
) -> None:
    batch = torch.stack([clip(20), clip(20), clip(20, seed=1)])
    rates = {
        "list": [10, 20, 20.0],
        "tuple": (10, 20, 20),
        "tensor": torch.tensor([10.0, 20.0, 20.0]),
        "array": np.array([10, 20, 20], np.float32),
    }[kind]
    scores = timed_reward(batch, fps=rates)
    for index, rate in enumerate((10, 20, 20)):
        one = timed_reward(batch[index : index + 1], fps=rate)
        torch.testing.assert_close(scores[index], one[0], rtol=0, atol=1e-5)
    assert (scores[0] - scores[1]).abs() > 1e-3
    torch.testing.assert_close(timed_reward.score(batch, fps=rates).overall, scores)


@pytest.mark.parametrize("fps", [10, 10.0, np.float32(10), torch.tensor(10.0), torch.tensor(10)])
def test_one_rate_for_all(
    timed_reward: VideoReward, clip: Callable[..., Tensor], fps: float
) -> None:
    batch = torch.stack([clip(20), clip(20, seed=1)])
    each = timed_reward(batch, fps=[10, 10])
    torch.testing.assert_close(timed_reward(batch, fps=fps), each, rtol=0, atol=1e-5)


def test_rates_of_different_videos_are_differentiable(
    timed_reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    batch = (torch.stack([clip(20), clip(20)]).float() / 255).requires_grad_()
    timed_reward(batch, fps=[10, 20]).sum().backward()
    assert (batch.grad.abs().sum(dim=(1, 2, 3, 4)) > 0).all()


def test_wrong_rates_are_refused(timed_reward: VideoReward, clip: Callable[..., Tensor]) -> None:
    batch = torch.stack([clip(), clip()])
    with pytest.raises(ValueError, match="fps has 3 entries for 2 videos; pass a list with one"):
        timed_reward(batch, fps=[1, 2, 3])
    with pytest.raises(ValueError, match="fps has one string for 2 videos"):
        timed_reward.score(batch, fps="16")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"fps has an entry \[10.0\]; give one number"):
        timed_reward(batch, fps=torch.tensor([[10.0], [20.0]]))

"""Long videos window by window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, VideoReward, video
from aigv_reward.reward import windows
from aigv_reward.reward.windows import window_bounds


@pytest.mark.parametrize(
    ("num_frames", "clips", "expected"),
    [
        (9, 3, [(0, 3), (3, 6), (6, 9)]),
        (10, 3, [(0, 3), (3, 6), (6, 10)]),
        (5, 1, [(0, 5)]),
        (2, 4, [(0, 1), (0, 1), (1, 2), (1, 2)]),
        (1, 3, [(0, 1), (0, 1), (0, 1)]),
        (3, 4, [(0, 1), (0, 1), (1, 2), (2, 3)]),
    ],
)
def test_windows_cover_a_video(
    num_frames: int, clips: int, expected: list[tuple[int, int]]
) -> None:
    assert window_bounds(num_frames, clips) == expected


@pytest.mark.parametrize("num_frames", range(1, 30))
@pytest.mark.parametrize("clips", [1, 2, 5, 7])
def test_windows_are_never_empty_and_leave_no_frame_out(num_frames: int, clips: int) -> None:
    bounds = window_bounds(num_frames, clips)
    assert len(bounds) == clips
    assert {i for start, end in bounds for i in range(start, end)} == set(range(num_frames))
    if num_frames >= clips:
        assert sum(end - start for start, end in bounds) == num_frames


@pytest.mark.parametrize("clips", [2, 3])
def test_a_window_scores_as_its_frames_alone(
    reward: VideoReward, clip: Callable[..., Tensor], clips: int
) -> None:
    frames = clip(18)
    scores = reward.score([frames, clip(7, seed=1)], clips=clips, batch_size=2)
    assert scores.windows is not None
    for index, part in enumerate(frames.chunk(clips)):
        for name, value in reward.score([part]).values.items():
            torch.testing.assert_close(scores.windows[name][0, index], value[0], rtol=0, atol=1e-5)
    for name in DIMENSIONS:
        assert scores.windows[name].shape == (2, clips)
        torch.testing.assert_close(scores[name], scores.windows[name].mean(dim=1))


def test_windows_of_a_file_are_those_of_its_frames_and_decoded_once(
    reward: VideoReward,
    clip: Callable[..., Tensor],
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = clip(24)
    path = write(tmp_path / "clip.mp4", frames)
    expected = reward.score([frames], clips=4)
    calls: list[Tensor] = []

    def counted(*args: object, **kwargs: object) -> object:
        sampled = video.read_frames(*args, **kwargs)  # type: ignore[arg-type]
        calls.append(sampled.indices)
        return sampled

    monkeypatch.setattr(windows, "read_frames", counted)
    scores = reward.score([path], clips=4)
    assert len(calls) == 1
    assert len(calls[0]) == len(calls[0].unique()) < 24 + 1
    assert scores.windows is not None and expected.windows is not None
    for name in DIMENSIONS:
        torch.testing.assert_close(scores.windows[name], expected.windows[name], rtol=0, atol=1e-5)


def test_windows_show_where_quality_falls(reward: VideoReward, clip: Callable[..., Tensor]) -> None:
    clean = clip(24)
    broken = clean.clone()
    noise = torch.randint(256, broken[12:].shape, generator=torch.Generator().manual_seed(0))
    broken[12:] = noise.to(broken.dtype)
    whole, cut = (reward.score([v], clips=4).windows for v in (clean, broken))
    assert whole is not None and cut is not None
    for name in DIMENSIONS:
        change = (cut[name] - whole[name]).abs()[0]
        assert change[:2].max() <= 1e-5 < 1e-3 < change[2:].min()


@pytest.mark.parametrize("num_frames", [1, 2])
@pytest.mark.parametrize("clips", [1, 2, 5])
def test_very_short_videos_score(
    reward: VideoReward,
    clip: Callable[..., Tensor],
    write: Callable[..., Path],
    tmp_path: Path,
    num_frames: int,
    clips: int,
) -> None:
    frames = clip(num_frames)
    path = write(tmp_path / "short.mp4", frames)
    scores = reward.score([frames, path], clips=clips)
    for name in DIMENSIONS:
        assert scores[name].isfinite().all()
        torch.testing.assert_close(scores[name][0], scores[name][1], rtol=0, atol=1e-5)
    if num_frames == 1:
        torch.testing.assert_close(
            scores.overall[:1], reward.score([frames]).overall, rtol=0, atol=1e-5
        )


def test_one_window_reports_no_windows(reward: VideoReward, clip: Callable[..., Tensor]) -> None:
    assert reward.score([clip()]).windows is None

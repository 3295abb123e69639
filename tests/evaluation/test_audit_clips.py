"""Clips of an audit: what is cut, what is shrunk, what is refused."""

from pathlib import Path

import pytest
import torch

from aigv_reward.distortions import encode_mp4, render_scene
from aigv_reward.evaluation.audit_clips import FIRST_SCENE, middle, open_clips, scenes, shrunk
from aigv_reward.evaluation.audit_settings import AuditSettings
from aigv_reward.training.ladders import HELD_OUT
from aigv_reward.video import Video, VideoDecodeError, read_video

SMALL = AuditSettings(num_frames=6, side=32)


@pytest.mark.parametrize(
    ("total", "count", "kept"),
    [(10, 4, [3, 4, 5, 6]), (5, 4, [0, 1, 2, 3]), (4, 4, [0, 1, 2, 3]), (2, 4, [0, 1])],
)
def test_the_middle(total: int, count: int, kept: list[int]) -> None:
    assert list(range(total))[middle(total, count)] == kept


def test_a_long_large_file_is_cut_and_shrunk(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    encode_mp4(path, render_scene(1, num_frames=11, height=64, width=96).frames, 12.0)
    (clip,) = open_clips([path], ["a wall"], SMALL)
    assert (clip.name, clip.prompt, clip.fps) == (str(path), "a wall", 12.0)
    assert clip.source_size == (11, 64, 96)
    assert clip.frames.shape == (6, 3, 32, 48)
    assert clip.frames.dtype == torch.uint8 and clip.frames.is_contiguous()
    expected = shrunk(read_video(path).frames[2:8], 32, 48)
    assert torch.equal(clip.frames, expected)


def test_a_small_video_stays_as_it_is() -> None:
    frames = torch.randint(256, (4, 3, 32, 40), dtype=torch.uint8)
    (clip,) = open_clips([Video(frames, 8.0)], None, SMALL)
    assert (clip.name, clip.prompt) == ("clips[0]", None)
    assert torch.equal(clip.frames, frames)


def test_shrinking_averages() -> None:
    """A checkerboard of 0 and 200 at half the size is about 100 everywhere."""
    board = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * 200
    frames = board.to(torch.uint8).expand(9, 3, 64, 64)
    small = shrunk(frames, 32, 32)
    assert small.shape == (9, 3, 32, 32)
    assert (small.float() - 100).abs().max() < 16


def test_clips_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    frames = torch.randint(256, (4, 3, 32, 40), dtype=torch.uint8)
    found = open_clips([Video(frames, 8.0), tmp_path / "missing.mp4"], None, SMALL)
    assert next(found).name == "clips[0]"
    with pytest.raises(VideoDecodeError, match=r"missing\.mp4"):
        next(found)


def test_scenes_were_not_trained_on_and_repeat() -> None:
    assert FIRST_SCENE > HELD_OUT
    first, again = (list(scenes(2, SMALL, captions=True)) for _ in range(2))
    assert [clip.name for clip in first] == ["scene 9000000", "scene 9000001"]
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(first, again, strict=True))
    assert first[0].frames.shape == (6, 3, 32, 48)
    assert first[0].prompt and first[0].prompt == again[0].prompt
    assert next(scenes(1, SMALL, captions=False)).prompt is None


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 3, 40, 40), "1 frames of 40x40"), ((4, 3, 40, 31), "4 frames of 31x40")],
)
def test_clips_that_are_too_small(shape: tuple[int, ...], size: str) -> None:
    video = Video(torch.zeros(shape, dtype=torch.uint8), 8.0)
    with pytest.raises(ValueError, match=rf"clip 'clips\[0\]' is {size}; the distortions need"):
        list(open_clips([video], None, SMALL))


def test_clips_and_prompts_that_do_not_fit() -> None:
    video = Video(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), 8.0)
    with pytest.raises(ValueError, match="there are no clips to audit with"):
        list(open_clips([], None, SMALL))
    with pytest.raises(ValueError, match="2 prompts for 1 clips; pass one or None for each"):
        list(open_clips([video], ["a", "b"], SMALL))
    with pytest.raises(ValueError, match="an audit of 0 scenes judges nothing"):
        list(scenes(0, SMALL, captions=True))

"""Frames stand as the container or the stream says, in every container and with every backend."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aigv_reward.video import read_frames, read_video
from tests.video.conftest import lay, reason, remux

MIRRORED = {
    "left_right": ((-1, 0, 0, 1), lambda frames: frames.flip(3)),
    "top_down": ((1, 0, 0, -1), lambda frames: frames.flip(2)),
    "transposed": ((0, 1, 1, 0), lambda frames: frames.transpose(2, 3)),
    "anti_transposed": ((0, -1, -1, 0), lambda frames: frames.transpose(2, 3).flip(2, 3)),
}


def turned(frames: Tensor, degrees: int) -> Tensor:
    return torch.rot90(frames, -degrees // 90, dims=(2, 3))


@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("backend", ["auto", "decord", "pyav"])
def test_rotation_is_applied(degrees: int, backend: str, clips: dict[str, Path]) -> None:
    upright = read_video(clips["h264"]).frames
    found = read_video(clips[f"rotated_{degrees}"], backend=backend).frames  # type: ignore[arg-type]
    assert torch.equal(found, turned(upright, degrees))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_in_matroska(degrees: int, clips: dict[str, Path], tmp_path: Path) -> None:
    path = remux(clips[f"rotated_{degrees}"], tmp_path / "a.mkv")
    expected = turned(read_video(clips["h264"]).frames, degrees)
    assert torch.equal(read_video(path).frames, expected)
    few = read_frames(path, lambda number, fps: [3, number - 1])
    assert torch.equal(few.frames, expected[few.indices])
    assert "(it does not apply its display matrix); use backend='auto'" in reason(path, "decord")


@pytest.mark.parametrize("name", MIRRORED)
def test_mirror_images(name: str, clips: dict[str, Path], tmp_path: Path) -> None:
    matrix, expected = MIRRORED[name]
    path = lay(clips["h264"], tmp_path / "a.mp4", matrix=matrix)
    assert torch.equal(read_video(path).frames, expected(read_video(clips["h264"]).frames))
    assert "it does not apply its display matrix" in reason(path, "decord")


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_orientation_in_the_stream_holds_until_the_next_key_frame(
    extension: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    """A message (SEI) before the first frame, anticlockwise as H.264 counts; every 10th is a key.

    It ends with the coded video sequence (H.264, D.2.27).
    """
    plain = read_video(clips["h264"]).frames
    for degrees in (90, 180):
        metadata = f"h264_metadata=display_orientation=insert:rotate={degrees}"
        path = remux(clips["h264"], tmp_path / f"{degrees}.{extension}", bitstream_filter=metadata)
        expected = turned(plain, 360 - degrees)
        few = read_frames(path, lambda number, fps: [5, 9])
        assert torch.equal(few.frames, expected[few.indices])
        later = read_frames(path, lambda number, fps: [10, 17])
        assert torch.equal(later.frames, plain[later.indices])
    assert torch.equal(read_video(path).frames, torch.cat([expected[:10], plain[10:]]))
    assert "a message within the stream turns its frames" in reason(path, "decord")


def test_a_scaled_or_singular_matrix_turns_nothing(clips: dict[str, Path], tmp_path: Path) -> None:
    upright = read_video(clips["h264"]).frames
    for matrix in ((2, 0, 0, 1), (0, 0, 0, 0), (1, 0, 0, 0)):
        path = lay(clips["h264"], tmp_path / "a.mp4", matrix=matrix)
        assert torch.equal(read_video(path).frames, upright)


def test_other_angles_are_refused(clips: dict[str, Path], tmp_path: Path) -> None:
    sine, cosine = math.sin(math.pi / 6), math.cos(math.pi / 6)
    path = lay(clips["h264"], tmp_path / "a.mp4", matrix=(cosine, sine, -sine, cosine))
    message = "its frames are to be turned by 30 degrees, which is no multiple of 90; encode them"
    assert message in reason(path)
    assert message in reason(path, "decord")

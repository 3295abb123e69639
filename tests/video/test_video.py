"""The values that reading returns check themselves."""

import pickle

import pytest
import torch

from aigv_reward.video import SampledFrames, Video, VideoDecodeError

FRAMES = torch.zeros(3, 3, 4, 5, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (FRAMES.float(), r"Video.frames is torch.float32 \(3, 3, 4, 5\); it must be uint8"),
        (FRAMES[0], r"Video.frames is torch.uint8 \(3, 4, 5\); it must be uint8 \(T, 3, H, W\)"),
        (FRAMES.permute(0, 2, 3, 1), r"\(3, 4, 5, 3\); it must be uint8 \(T, 3, H, W\)"),
        (FRAMES[:0], r"\(0, 3, 4, 5\); at least one frame"),
    ],
)
def test_video_refuses_other_frames(frames: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Video(frames=frames, fps=25.0)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("inf"), float("nan")])
def test_video_refuses_other_rates(fps: float) -> None:
    with pytest.raises(ValueError, match=r"Video.fps is .*; it must be positive and finite"):
        Video(frames=FRAMES, fps=fps)


@pytest.mark.parametrize("indices", [[0, 2, 2], [2, 1, 3], [-1, 0, 1], [0, 1, 9]])
def test_sampled_frames_refuse_unsorted_or_foreign_indices(indices: list[int]) -> None:
    with pytest.raises(ValueError, match=r"must ascend without repeats within 0\.\.8"):
        SampledFrames(frames=FRAMES, indices=torch.tensor(indices), num_frames=9, fps=25.0)


def test_sampled_frames_need_one_index_a_frame() -> None:
    with pytest.raises(ValueError, match=r"int64 \(2,\); it must be int64 \(3,\), one index"):
        SampledFrames(frames=FRAMES, indices=torch.tensor([0, 1]), num_frames=9, fps=25.0)


def test_decode_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(VideoDecodeError("a.mp4", "it is empty")))
    assert (error.path, error.reason) == ("a.mp4", "it is empty")
    assert str(error) == "cannot read video a.mp4: it is empty"


def test_decode_error_can_be_rebuilt_from_its_message() -> None:
    assert str(VideoDecodeError("the whole message")) == "the whole message"

"""Every kind of input, alone and mixed, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from aigv_reward import DIMENSIONS, Video, VideoDecodeError, VideoReward
from aigv_reward.reward.inputs import as_batch, as_video


def equal(scores: dict, reference: dict, *, rtol: float = 0, atol: float = 0) -> None:
    assert scores.keys() == reference.keys()
    for name in reference:
        torch.testing.assert_close(scores[name], reference[name], rtol=rtol, atol=atol)


def pil(frames: Tensor) -> list[Image.Image]:
    return [Image.fromarray(frame) for frame in frames.permute(0, 2, 3, 1).numpy()]


def test_every_kind_of_input_of_the_same_pixels_scores_the_same(
    reward: VideoReward, clip: Callable[..., Tensor], write: Callable[..., Path], tmp_path: Path
) -> None:
    frames = clip()
    path = write(tmp_path / "clip.mp4", frames)
    with path.open("rb") as opened:
        kinds = [
            str(path),
            path,
            path.read_bytes(),
            bytearray(path.read_bytes()),
            memoryview(path.read_bytes()),
            opened,
            io.BytesIO(path.read_bytes()),
            Video(frames, fps=10),
            frames,
            frames.permute(0, 2, 3, 1).numpy(),
            pil(frames),
            tuple(pil(frames)),
        ]
        scores = reward.score(kinds, batch_size=4)
    assert len(scores) == len(kinds) and scores.dimensions == DIMENSIONS
    alone = reward.score([frames])
    for name in DIMENSIONS:
        expected = alone[name].expand(len(kinds))
        torch.testing.assert_close(scores[name], expected, rtol=0, atol=1e-5)


def test_every_kind_of_float_input_scores_the_same(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    frames = clip().float() / 255
    last = np.ascontiguousarray(frames.permute(0, 2, 3, 1).numpy())
    frozen = last.copy()
    frozen.flags.writeable = False
    kinds = [frames, frames.double(), last, last.astype(np.float64), frozen, last[:, ::-1][:, ::-1]]
    scores = reward.score(kinds, batch_size=1)
    for name in DIMENSIONS:
        torch.testing.assert_close(scores[name], scores[name][:1].expand(6), rtol=0, atol=1e-5)


def test_one_tensor_or_array_is_a_batch(reward: VideoReward, clip: Callable[..., Tensor]) -> None:
    batch = torch.stack([clip(seed=seed) for seed in range(3)])
    one_by_one = reward.score(list(batch))
    equal(reward.score(batch).values, one_by_one.values)
    equal(reward.score(batch.permute(0, 1, 3, 4, 2).numpy()).values, one_by_one.values)
    direct = torch.stack(
        [
            VideoReward(reward.model, weights={name: 1.0})(batch).clone()
            for name in reward.dimensions
        ]
    )
    expected = torch.stack(list(one_by_one.values.values()))
    torch.testing.assert_close(direct, expected, rtol=0, atol=1e-5)


def test_lengths_and_sizes_mix_in_one_call(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    shapes = [(12, 40, 56), (1, 40, 56), (2, 33, 20), (7, 8, 9), (30, 64, 48), (5, 200, 16)]
    clips = [clip(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    together = reward.score(clips, batch_size=4)
    for index, frames in enumerate(clips):
        for name, value in reward.score([frames]).values.items():
            torch.testing.assert_close(together[name][index], value[0], rtol=0, atol=1e-5)


def test_half_precision_pixels_are_widened_before_they_are_averaged(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    for dtype in (torch.bfloat16, torch.float16):
        frames = (clip().float() / 255).to(dtype)
        equal(reward.score([frames]).values, reward.score([frames.float()]).values)
        torch.testing.assert_close(reward(frames[None]), reward(frames.float()[None]))


@pytest.mark.parametrize("layout", ["btchw", "bcthw", "bthwc"])
@pytest.mark.parametrize("kind", ["uint8", "unit", "signed", "bytes as floats"])
def test_named_layouts_and_ranges_mean_the_same_frames(
    reward: VideoReward, clip: Callable[..., Tensor], layout: str, kind: str
) -> None:
    frames = torch.stack([clip(), clip(seed=1)])
    expected = reward(frames if kind == "uint8" else frames.float() / 255)
    given, value_range = {
        "uint8": (frames, (0.0, 1.0)),
        "unit": (frames.float() / 255, (0.0, 1.0)),
        "signed": (frames.float() / 127.5 - 1, (-1.0, 1.0)),
        "bytes as floats": (frames.float(), (0.0, 255.0)),
    }[kind]
    order = {"btchw": (0, 1, 2, 3, 4), "bcthw": (0, 2, 1, 3, 4), "bthwc": (0, 1, 3, 4, 2)}[layout]
    result = reward(given.permute(order), layout=layout, value_range=value_range)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_uint8_and_float_paths_differ_by_little(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    # At most one grey level a pixel; random weights, more sensitive than trained ones, move less
    # than a hundredth of a point on a scale of four.
    clips = [clip(12, 64, 96, seed=seed) for seed in range(6)]
    as_bytes = reward.score(clips)
    as_floats = reward.score([frames.float() / 255 for frames in clips])
    gap = max(float((as_bytes[n] - as_floats[n]).abs().max()) for n in DIMENSIONS)
    assert 0 < gap < 0.01


def test_a_little_overshoot_is_scored_as_it_is(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    frames = (clip().float() / 255 - 0.5) * 1.4 + 0.5
    assert frames.amin() < 0 and frames.amax() > 1
    clamped = frames.clamp(0, 1)
    assert not torch.equal(reward(frames[None]), reward(clamped[None]))
    edge = torch.full((2, 3, 8, 8), 1.5)
    assert reward.score([edge, -0.5 * torch.ones(2, 3, 8, 8)]).overall.isfinite().all()


def bad_videos() -> dict[str, tuple[object, str]]:
    good = torch.rand(4, 3, 16, 16)
    holed = good.clone()
    holed[1, 2, 3, 4] = float("nan")
    infinite = good.clone()
    infinite[0, 0, 0, 0] = float("inf")
    small, large = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 9))
    return {
        "channels last": (good.movedim(1, -1), r"frames of shape \(4, 16, 16, 3\).*permute it"),
        "no time": (good[0], r"frames of shape \(3, 16, 16\).*one video is \(T, 3, H, W\)"),
        "grey": (good[:, :1], r"frames of shape \(4, 1, 16, 16\)"),
        "batch in list": (good[None], r"frames of shape \(1, 4, 3, 16, 16\)"),
        "array channels first": (good.numpy(), r"array of shape \(4, 3, 16, 16\).*\(T, H, W, 3\)"),
        "empty": (good[:0], r"frames of shape \(0, 3, 16, 16\) hold no pixels; pass 1 frame"),
        "int": (good.long(), r"frames of dtype torch.int64; pass uint8 0..255 or float 0..1"),
        "bytes as floats": (good * 255, r"float frames span .*, expected 0..1; name their range"),
        "signed": (good * 2 - 1, r"float frames span -.*, expected 0..1; name their range"),
        "nan": (holed, "frames hold NaN or infinite pixels; they have no score"),
        "inf": (infinite, "frames hold NaN or infinite pixels; they have no score"),
        "number": (3, "cannot read a video from int; pass a path, bytes, a Video"),
        "no frames": ([], "cannot read a video from list; pass a path, bytes, a Video"),
        "list of tensors": (list(good), "cannot read a video from list"),
        "pil and array": (
            [small, np.zeros((8, 8, 3), np.uint8)],
            "frame 1 of a list of PIL frames is ndarray; pass PIL frames only, or one",
        ),
        "pil and None": ([small, None], "frame 1 of a list of PIL frames is NoneType; pass PIL"),
        "long double": (
            good.movedim(1, -1).numpy().astype(np.longdouble),
            "frames of dtype '.f16'; pass uint8 0..255 or float32 0..1",
        ),
        "other byte order": (
            good.movedim(1, -1).numpy().astype(">f4"),
            "frames of dtype '>f4'; pass uint8 0..255 or float32 0..1",
        ),
        "sparse": (good.to_sparse(), "frames are a tensor torch.sparse_coo; pass a dense one"),
        "meta": (good.to("meta"), "frames are on the meta device; pass a tensor with pixels"),
        "float8": (good.to(torch.float8_e5m2), "frames of dtype torch.float8_e5m2; pass uint8"),
        "thin": (
            torch.zeros(1, 3, 1, 1 << 20, dtype=torch.uint8),
            "frames of 1048576x1 pixels would be enlarged to 33554432x32, .* above the limit of",
        ),
        "pil sizes": ([small, large], r"PIL frames of different sizes \[\(8, 8\), \(8, 9\)\]"),
    }


@pytest.mark.parametrize("case", bad_videos())
def test_a_video_without_a_score_is_an_error_that_says_which(
    reward: VideoReward, clip: Callable[..., Tensor], case: str
) -> None:
    video, message = bad_videos()[case]
    with pytest.raises(ValueError, match=message) as caught:
        reward.score([clip(), video], batch_size=1)
    assert caught.value.__notes__ == ["raised by videos[1]"]


def test_a_file_that_cannot_be_read_keeps_its_error(reward: VideoReward, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("no video")
    with pytest.raises(VideoDecodeError, match=r"notes\.mp4") as caught:
        reward.score([path])
    assert caught.value.path == str(path) and caught.value.reason
    with pytest.raises(VideoDecodeError, match=r"absent\.mp4"):
        reward.score([str(tmp_path / "absent.mp4")])


def test_a_file_of_frames_far_from_square_keeps_its_path(
    reward: VideoReward, clip: Callable[..., Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "thin.gif"
    Image.new("RGB", (65535, 1)).save(path)
    limit = "frames of 65535x1 pixels would be enlarged to 2097120x32, .* above the limit of"
    for source, name in ((path, str(path)), (path.read_bytes(), "<bytes>")):
        with pytest.raises(VideoDecodeError, match=limit) as caught:
            reward.score([clip(), source])
        assert caught.value.path == name
    with path.open("rb") as opened, pytest.raises(VideoDecodeError, match=limit) as caught:
        reward.score([opened])
    assert caught.value.path == str(path)
    with pytest.raises(
        VideoDecodeError, match="cannot read video <file object>: frames of 65535x1"
    ):
        reward.prepare(io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("kind", [dict, set])
def test_videos_without_an_order_are_refused(reward: VideoReward, kind: type) -> None:
    videos = kind([("a", "b")])
    with pytest.raises(ValueError, match=f"videos is a {kind.__name__}, in which none has a place"):
        reward.score(videos)


def test_a_batch_that_is_no_tensor_is_refused(reward: VideoReward) -> None:
    frames = np.zeros((1, 4, 3, 16, 16), np.float32)
    for given, name in ((frames, "ndarray"), ([torch.zeros(4, 3, 16, 16)], "list")):
        with pytest.raises(ValueError, match=f"frames is {name}, not a tensor of 5 axes; stack"):
            reward(given)


@pytest.mark.parametrize("single", ["tensor", "array", "path", "bytes", "Video", "iterator"])
def test_one_video_that_is_not_in_a_list_is_refused(
    reward: VideoReward, clip: Callable[..., Tensor], single: str
) -> None:
    frames = clip()
    video = {
        "tensor": frames,
        "array": frames.permute(0, 2, 3, 1).numpy(),
        "path": Path("clip.mp4"),
        "bytes": b"abc",
        "Video": Video(frames, fps=10),
        "iterator": iter([frames]),
    }[single]
    with pytest.raises(ValueError, match=r"videos is one \w+, not a list .*; wrap it in \[ \]"):
        reward.score(video)


def test_nothing_to_score_is_refused(reward: VideoReward, clip: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match="videos is empty; pass at least one"):
        reward.score([])
    with pytest.raises(ValueError, match="clips=0 and batch_size=8 must be at least 1"):
        reward.score([clip()], clips=0)
    with pytest.raises(ValueError, match="clips=1 and batch_size=0 must be at least 1"):
        reward.score([clip()], batch_size=0)
    with pytest.raises(ValueError, match=r"clips='2' and batch_size=1\.5 must be .* whole numbers"):
        reward.score([clip()], clips="2", batch_size=1.5)  # type: ignore[arg-type]


def test_batches_in_another_layout_or_range_are_refused(reward: VideoReward) -> None:
    frames = torch.rand(2, 4, 3, 16, 16)
    with pytest.raises(ValueError, match=r"\(2, 3, 4, 16, 16\) are not 'btchw' with 3 channels"):
        reward(frames.transpose(1, 2))
    with pytest.raises(ValueError, match=r"\(4, 3, 16, 16\) are not 'btchw' with 3 channels"):
        reward(frames[0])
    with pytest.raises(ValueError, match="unknown layout 'tchw'; choose from btchw, bcthw, bthwc"):
        as_batch(frames, layout="tchw", value_range=(0, 1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"value_range \(1, -1\) must rise"):
        reward(frames, value_range=(1, -1))
    with pytest.raises(ValueError, match=r"float frames span .*, expected -1..1; name their range"):
        reward(frames * 255, value_range=(-1, 1))
    with pytest.raises(ValueError, match="frames hold NaN or infinite pixels"):
        reward(frames / 0)
    with pytest.raises(ValueError, match="hold no pixels; pass 1 frame or more"):
        reward(frames[:0])


def test_pixels_are_neither_copied_nor_changed() -> None:
    frames = torch.rand(2, 3, 8, 8)
    kept = frames.clone()
    assert as_video(frames, None)[0].data_ptr() == frames.data_ptr()
    as_batch(frames[None], layout="btchw", value_range=(-1, 1))
    assert torch.equal(frames, kept)

"""Reading every kind of file, frame for frame."""

import io
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import av
import decord
import numpy as np
import pytest
import torch

from aigv_reward.video import VideoDecodeError, read_frames, read_video, reading
from tests.video.conftest import HEIGHT, LENGTH, RATE, WIDTH, draw, encode, h264, read_number

BOTH = [
    "h264",
    "no_b_frames",
    "open_gop",
    "fragmented",
    "faststart",
    "no_duration",
    "bt709",
    "full_range",
    "hevc",
    "h264_avi",
    "vfr_mp4",
    "vfr_mkv",
]
ONLY_PYAV = {
    "vp9": "codec vp9",
    "vp8": "codec vp8",
    "mpeg4": "codec mpeg4",
    "h264_10bit": "pixel format yuv420p10le",
    "ts": "container mpegts",
    "gif": "container gif",
    "av1": "codec libdav1d",
}
WHOLE = [*BOTH, *ONLY_PYAV]


def numbers(frames: torch.Tensor) -> list[int]:
    return [read_number(frame) for frame in frames.permute(0, 2, 3, 1).numpy()]


def raw_decord(path: Path) -> torch.Tensor:
    reader = decord.VideoReader(str(path))
    frames = reader.get_batch(range(len(reader))).asnumpy()
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("backend", ["auto", "pyav"])
def test_every_frame_is_read_in_order(name: str, backend: str, clips: dict[str, Path]) -> None:
    video = read_video(clips[name], backend=backend)  # type: ignore[arg-type]
    assert video.frames.shape == (LENGTH, 3, HEIGHT, WIDTH)
    assert numbers(video.frames) == list(range(LENGTH))
    drawn = np.stack([draw(number) for number in range(LENGTH)]).transpose(0, 3, 1, 2)
    error = np.abs(video.frames.numpy().astype(int) - drawn).mean()
    assert error < (16 if name == "gif" else 5)  # a GIF has 256 colours


@pytest.mark.parametrize("name", [n for n in BOTH if n != "no_duration"] + ["vp9", "vp8", "mpeg4"])
def test_both_decoders_agree_to_the_bit(name: str, clips: dict[str, Path]) -> None:
    expected = raw_decord(clips[name])
    for backend in ("decord",) * (name in BOTH) + ("pyav", "auto"):
        assert torch.equal(read_video(clips[name], backend=backend).frames, expected)  # type: ignore[arg-type]


def test_ten_bits_agree_with_decord_up_to_rounding(clips: dict[str, Path]) -> None:
    ours = read_video(clips["h264_10bit"]).frames.int()
    difference = (ours - raw_decord(clips["h264_10bit"]).int()).abs()
    assert difference.float().mean() < 1
    # chroma is interpolated differently, which shows at the edges of the blocks only
    assert (difference > 4).float().mean() < 0.05


def test_colour_matrix_and_range_are_obeyed(clips: dict[str, Path]) -> None:
    """The same picture coded three ways decodes to the same colours."""
    plain, bt709, full = (
        read_video(clips[name]).frames.float() for name in ("h264", "bt709", "full_range")
    )
    assert (plain - bt709).abs().mean() < 1.5
    assert (plain - full).abs().mean() < 1.5


@pytest.mark.parametrize("name", ONLY_PYAV)
def test_decord_alone_refuses_what_it_reads_wrong(name: str, clips: dict[str, Path]) -> None:
    with pytest.raises(VideoDecodeError, match=f"decord reads it wrong .{ONLY_PYAV[name]}"):
        read_video(clips[name], backend="decord")


def test_edit_list_hides_the_frames_before_the_cut(clips: dict[str, Path]) -> None:
    """The cut at 0.56 s of 25 fps begins with frame 14; its packets begin with frame 10."""
    video = read_video(clips["edit_list"])
    assert numbers(video.frames) == list(range(14, LENGTH))
    assert numbers(raw_decord(clips["edit_list"])) != numbers(video.frames)
    assert torch.equal(video.frames, read_video(clips["h264"]).frames[14:])
    with pytest.raises(VideoDecodeError, match="an edit list hides some of its frames"):
        read_video(clips["edit_list"], backend="decord")


def test_stream_joined_in_the_middle_counts_what_decodes(clips: dict[str, Path]) -> None:
    """Pictures that lead the first key frame refer to frames that are not there."""
    video = read_video(clips["joined"])
    sampled = read_frames(clips["joined"], lambda count, fps: [count - 1])
    assert sampled.num_frames == len(video.frames)
    assert numbers(video.frames) == sorted(numbers(video.frames))
    assert numbers(sampled.frames) == [LENGTH - 1]


@pytest.mark.parametrize("backend", ["auto", "decord", "pyav"])
def test_one_and_two_frames(backend: str, clips: dict[str, Path]) -> None:
    assert numbers(read_video(clips["one"], backend=backend).frames) == [7]  # type: ignore[arg-type]
    assert numbers(read_video(clips["two"], backend=backend).frames) == [7, 9]  # type: ignore[arg-type]


def test_odd_sizes(clips: dict[str, Path]) -> None:
    video = read_video(clips["odd_size"])
    assert video.frames.shape == (LENGTH, 3, 65, 97)
    assert torch.equal(video.frames, raw_decord(clips["odd_size"]))


@pytest.mark.parametrize("name", WHOLE)
def test_frame_rate_is_the_mean(name: str, clips: dict[str, Path]) -> None:
    """The 29 gaps of 1, 2, 3, 4, 1, ... periods last 71 periods of 1/25 s."""
    expected = 29 / 71 * RATE if name.startswith("vfr") else RATE
    assert read_video(clips[name]).fps == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("name", [*WHOLE, "edit_list", "rotated_90"])
def test_chosen_frames_equal_those_of_the_whole_video(name: str, clips: dict[str, Path]) -> None:
    whole = read_video(clips[name], backend="pyav").frames
    rng = random.Random(name)
    backends = ["auto", "pyav"] + ["decord"] * (name in BOTH and name != "no_duration")
    for backend in backends:
        for size in (1, 3, 12):
            wanted = [rng.randrange(len(whole)) for _ in range(size)]
            sampled = read_frames(
                clips[name],
                lambda count, fps, wanted=wanted: wanted,
                backend=backend,  # type: ignore[arg-type]
            )
            assert sampled.indices.tolist() == sorted(set(wanted))
            assert sampled.num_frames == len(whole)
            assert torch.equal(sampled.frames, whole[sampled.indices])


def test_choose_is_called_once_with_length_and_rate(clips: dict[str, Path]) -> None:
    calls = []

    def choose(num_frames: int, fps: float) -> list[int]:
        calls.append((num_frames, fps))
        return [5, 2, 5]

    sampled = read_frames(clips["h264"], choose)
    assert calls == [(LENGTH, RATE)]
    assert numbers(sampled.frames) == [2, 5]


@pytest.mark.parametrize(
    ("wanted", "asked"), [([], "no frame"), ([-1, 2], "-1..2"), ([3, LENGTH], "3..30")]
)
def test_choosing_outside_the_video(wanted: list[int], asked: str, clips: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=rf"choose asked for {asked} of .* within 0\.\.29"):
        read_frames(clips["h264"], lambda count, fps: wanted)


def test_unknown_backend(clips: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"unknown backend 'opencv'; .* auto, decord, pyav"):
        read_video(clips["h264"], backend="opencv")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["h264", "hevc", "gif", "ts", "edit_list"])
def test_bytes_and_file_objects(name: str, clips: dict[str, Path]) -> None:
    expected = read_video(clips[name])
    data = clips[name].read_bytes()
    assert torch.equal(read_video(data).frames, expected.frames)
    with io.BytesIO(b"header" + data) as file:
        file.seek(6)
        assert torch.equal(read_video(file).frames, expected.frames)
        assert not file.closed
    with clips[name].open("rb") as file:
        assert torch.equal(read_video(file).frames, expected.frames)


def test_files_that_decord_rejects(clips: dict[str, Path]) -> None:
    with pytest.raises(VideoDecodeError, match=r"decord fails: .*Failed to measure duration"):
        read_video(clips["no_duration"], backend="decord")
    assert numbers(read_video(clips["no_duration"]).frames) == list(range(LENGTH))


def test_without_decord_everything_is_read_by_pyav(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read_video(clips["h264"]).frames
    monkeypatch.setitem(sys.modules, "decord", None)
    assert torch.equal(read_video(clips["h264"]).frames, expected)
    with pytest.raises(VideoDecodeError, match="decord is not installed; install it or use"):
        read_video(clips["h264"], backend="decord")


def test_still_scenes_keep_every_frame(tmp_path: Path) -> None:
    path = encode(tmp_path / "still.mp4", "libx264", numbers=[5] * 20, options=h264())
    assert numbers(read_video(path).frames) == [5] * 20


def test_importing_the_package_imports_no_decoder() -> None:
    code = (
        "import sys, aigv_reward.video; assert not {'decord', 'av'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_memory_limit_names_value_limit_and_remedy(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_DECODED_BYTES", 100_000)
    message = "30 frames of 96x64 take 552960 bytes, above the limit of 100000; read fewer frames"
    with pytest.raises(VideoDecodeError, match=message):
        read_video(clips["h264"])
    assert len(read_frames(clips["h264"], lambda count, fps: [0, 9]).frames) == 2


def test_alpha_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "alpha.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "bgra"
        picture = np.dstack([draw(3), np.full((64, 96), 128, np.uint8)])
        frame = av.VideoFrame.from_ndarray(picture, format="rgba").reformat(format="bgra")
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.array_equal(read_video(path).frames[0].permute(1, 2, 0).numpy(), draw(3))


def test_one_frame_without_a_rate_is_read(tmp_path: Path) -> None:
    path = encode(tmp_path / "one.webm", "libvpx-vp9", numbers=[3])
    no_rate = path.read_bytes().replace(b"\x23\xe3\x83", b"\x23\xe3\x84")
    video = read_video(no_rate)
    assert numbers(video.frames) == [3] and video.fps > 0


@pytest.mark.parametrize("backend", ["auto", "decord", "pyav"])
def test_a_name_that_is_not_utf_8(clips: dict[str, Path], tmp_path: Path, backend: str) -> None:
    path = os.path.join(tmp_path, os.fsdecode(b"caf\xe9.mp4"))
    shutil.copyfile(clips["h264"], path)
    expected = read_video(clips["h264"], backend=backend)  # type: ignore[arg-type]
    found = read_video(path, backend=backend)  # type: ignore[arg-type]
    assert torch.equal(found.frames, expected.frames) and found.fps == expected.fps

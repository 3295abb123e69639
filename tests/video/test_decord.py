"""decord is refused what it reads otherwise than PyAV; what "auto" gives does not depend on it."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch

from aigv_reward.video import read_frames, read_video
from aigv_reward.video.nal_units import NalUnits
from tests.video.conftest import RATE, draw, read_number, reason

VPX = {"g": "3", "b:v": "1M", "lag-in-frames": "0", "auto-alt-ref": "0"}
SIZES = ((96, 64), (64, 48))


def pictures(size: tuple[int, int], first: int, times: range) -> list[av.VideoFrame]:
    frames = []
    for position, time in enumerate(times):
        rgb = draw(first + position, width=size[0], height=size[1])
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = time, Fraction(1, RATE)
        frames.append(frame)
    return frames


def two_sizes(path: Path, codec: str, options: Mapping[str, str]) -> Path:
    """One track that begins with 6 frames of 96x64 and ends with 6 of 64x48."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=dict(options))
        encoder: av.VideoCodecContext = stream.codec_context
        for part, size in enumerate(SIZES):
            if part:
                encoder = av.CodecContext.create(codec, "w")
                encoder.time_base, encoder.framerate = Fraction(1, RATE), Fraction(RATE)
                encoder.options = dict(options)
            encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
            for frame in [*pictures(size, 0, range(6 * part, 6 * part + 6)), None]:
                for packet in encoder.encode(frame):
                    packet.stream = stream
                    container.mux(packet)
    return path


def two_tracks(path: Path, sizes: tuple[tuple[int, int], tuple[int, int]]) -> Path:
    """Two tracks of 10 frames, which show 0..9 and 100..109; the second has the higher rate."""
    with av.open(str(path), "w") as container:
        streams = []
        for size, quality in zip(sizes, ("30", "5"), strict=True):
            stream = container.add_stream("libx264", rate=RATE, options={"crf": quality, "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            streams.append(stream)
        for part, (stream, size) in enumerate(zip(streams, sizes, strict=True)):
            for frame in [*pictures(size, 100 * part, range(10)), None]:
                container.mux(stream.encode(frame))
    return path


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("sizes", [SIZES, SIZES[::-1], SIZES[:1] * 2])
def test_of_two_tracks_the_same_one_is_read(
    extension: str, sizes: tuple[tuple[int, int], tuple[int, int]], tmp_path: Path
) -> None:
    path = two_tracks(tmp_path / f"a.{extension}", sizes)
    assert "decord reads it wrong (2 video tracks)" in reason(path, "decord")
    whole = read_video(path).frames
    assert torch.equal(whole, read_video(path, backend="pyav").frames)
    assert read_number(whole[0].permute(1, 2, 0).numpy()) == 0
    few = read_frames(path, lambda number, fps: [0, 7])
    assert torch.equal(few.frames, whole[[0, 7]])


@pytest.mark.parametrize(
    ("codec", "extension", "options"),
    [
        ("libvpx-vp9", "webm", VPX),
        ("libvpx-vp9", "mp4", VPX),
        ("libvpx", "webm", VPX),
        ("mpeg4", "avi", {"g": "3", "bf": "0"}),
        ("libx264", "avi", {"g": "3", "bf": "0"}),
    ],
)
def test_a_size_that_changes_is_an_error(
    codec: str, extension: str, options: dict[str, str], tmp_path: Path
) -> None:
    path = two_sizes(tmp_path / f"a.{extension}", codec, options)
    assert "frame 6 is 64x48 and those before it 96x64; scale them to one size" in reason(path)
    refusal = "its parameter sets change, and with them perhaps the frame size"
    assert (refusal if codec == "libx264" else "codec ") in reason(path, "decord")
    assert read_frames(path, lambda number, fps: range(6)).frames.shape == (6, 3, 64, 96)


@pytest.mark.parametrize("name", ["h264", "hevc", "h264_avi", "open_gop", "fragmented"])
def test_constant_parameter_sets_are_recognised(name: str, clips: dict[str, Path]) -> None:
    assert read_video(clips[name], backend="decord").frames.shape[1:] == (3, 64, 96)


SETS = b"\x67\x01\x02"
AVC = b"\1\x64\0\x0a\xff\xe1" + len(SETS).to_bytes(2) + SETS + b"\1\0\1\x68"
HEVC_SETS = b"\x42\x01\x05"
HEVC = b"\1" + bytes(20) + b"\3\1" + b"\x21\0\1" + len(HEVC_SETS).to_bytes(2) + HEVC_SETS


def sized(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4) + unit for unit in units)


def marked(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


@pytest.mark.parametrize(
    ("codec", "extradata", "packet", "finding"),
    [
        ("h264", AVC, sized(b"\x65\x11", SETS), None),
        ("h264", AVC, sized(b"\x65\x11", b"\x67\x01\x03"), "its parameter sets change"),
        ("h264", AVC, marked(b"\x65\x11", SETS), None),
        ("h264", AVC, marked(b"\x65\x11", b"\x67\x01\x03"), "its parameter sets change"),
        ("h264", marked(SETS), marked(SETS + b"\0", b"\x65\x11"), None),
        ("h264", marked(SETS), marked(b"\x67\x09"), "its parameter sets change"),
        ("h264", None, marked(SETS, b"\x67\x09"), "its parameter sets change"),
        ("h264", AVC, sized(b"\x06\x01\x01\x2f\x05\x02\x2f\x2f\x80"), None),
        ("h264", AVC, sized(b"\x06\x01\x01\x2f\x2f\x01\x08\x80"), "turns its frames"),
        ("h264", AVC, sized(b"\x06\xff\x01\x01\x2f\x80"), None),
        ("h264", AVC, sized(b"\x06\x05\x03\0\0\3\2\x2f\x01\x08\x80"), "turns its frames"),
        ("h264", AVC, sized(b"\x06\xff\xff"), "its NAL units are damaged"),
        ("h264", AVC, sized(b"\x65\x11")[:-1], "its NAL units are damaged"),
        ("h264", b"\1", b"", "its decoder configuration is damaged"),
        ("hevc", HEVC, sized(HEVC_SETS, b"\x26\1\1"), None),
        ("hevc", HEVC, sized(b"\x42\x01\x06"), "its parameter sets change"),
        ("hevc", HEVC, sized(b"\x4e\x01\x2f\x01\x08\x80"), "turns its frames"),
        ("hevc", HEVC[:22], b"", "its decoder configuration is damaged"),
    ],
)
def test_nal_units(codec: str, extradata: bytes | None, packet: bytes, finding: str | None) -> None:
    units = NalUnits(codec, extradata)
    units.read(packet)
    if finding is None:
        assert units.finding is None
    else:
        assert units.finding is not None and finding in units.finding

"""Small videos of every supported kind, whose frames carry their own number."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from aigv_reward.video import VideoDecodeError, read_video

WIDTH, HEIGHT, BITS = 96, 64, 8
LENGTH = 30
RATE = 25


def draw(number: int, *, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(H, W, 3) uint8: the frame number as bright and dark blocks above a drifting colour ramp."""
    frame = np.zeros((height, width, 3), np.uint8)
    block = width // BITS
    for bit in range(BITS):
        frame[: height // 2, bit * block : (bit + 1) * block] = 215 if number >> bit & 1 else 40
    x = np.arange(width)
    lower = frame[height // 2 :]
    lower[..., 0] = 60 + (2 * x + 3 * number) % 120
    lower[..., 1] = 160 - x
    lower[..., 2] = 90
    return frame


def read_number(frame: np.ndarray) -> int:
    """The number that `draw` wrote into a decoded (H, W, 3) frame."""
    height, width = frame.shape[:2]
    block = width // BITS
    centres = frame[4 : height // 2 - 4].reshape(-1, width, 3)
    means = [centres[:, bit * block + 3 : (bit + 1) * block - 3].mean() for bit in range(BITS)]
    return sum(1 << bit for bit, mean in enumerate(means) if mean > 127)


def encode(
    path: Path,
    codec: str,
    *,
    numbers: Sequence[int] = range(LENGTH),
    pix_fmt: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    times: Sequence[int] | None = None,
    mux: Mapping[str, str] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    colour: Mapping[str, int] | None = None,
) -> Path:
    """Writes the numbered frames; `times` are presentation times in units of 1/RATE."""
    with av.open(str(path), "w", options=dict(mux or {})) as container:
        stream = container.add_stream(codec, rate=RATE, options=dict(options or {}))
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        for name, value in (colour or {}).items():
            setattr(stream.codec_context, name, value)
        stream.codec_context.time_base = Fraction(1, RATE)
        for position, number in enumerate(numbers):
            rgb = draw(number, width=size[0], height=size[1])
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            target = (
                {}
                if not colour
                else {
                    "dst_colorspace": colour["colorspace"],
                    "dst_color_range": colour["color_range"],
                }
            )
            frame = frame.reformat(format=pix_fmt, **target)
            frame.pts = position if times is None else times[position]
            frame.time_base = Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(source: Path, path: Path, *, start: float) -> Path:
    """A stream copy of `source` from `start` seconds on, as `ffmpeg -ss START -c copy` makes it.

    Packets begin at the key frame before `start`; the earlier ones get negative times, which the
    muxer hides behind an edit list.
    """
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        old = reader.streams.video[0]
        new = writer.add_stream_from_template(old)
        assert old.time_base is not None
        shift = round(start / old.time_base)
        reader.seek(shift, stream=old, backward=True)
        for packet in reader.demux(old):
            if packet.dts is None or packet.pts is None:
                continue
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = new
            writer.mux(packet)
    return path


def lay(source: Path, path: Path, *, matrix: tuple[float, float, float, float]) -> Path:
    """A copy of an mp4 whose track header maps (x, y) to (a x + c y, b x + d y) for display."""
    a, b, c, d = (round(value * 65536) for value in matrix)
    data = bytearray(source.read_bytes())
    start = data.index(b"tkhd") + 4
    assert data[start] == 0  # version 0: the matrix lies 40 bytes into the box's body
    data[start + 40 : start + 76] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def rotate(source: Path, path: Path, *, degrees: int) -> Path:
    """A copy of an mp4 whose track header asks players to turn it clockwise by `degrees`."""
    matrices = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    return lay(source, path, matrix=matrices[degrees])


def remux(source: Path, path: Path, *, bitstream_filter: str = "") -> Path:
    """A stream copy into the container that the name of `path` asks for."""
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        old = reader.streams.video[0]
        new = writer.add_stream_from_template(old)
        change = BitStreamFilterContext(bitstream_filter or "null", old)
        for packet in reader.demux(old):
            for changed in change.filter(packet if packet.size else None):
                changed.stream = new
                writer.mux(changed)
    return path


def reason(source: object, backend: str = "auto") -> str:
    """Why a video cannot be read."""
    with pytest.raises(VideoDecodeError) as caught:
        read_video(source, backend=backend)  # type: ignore[arg-type]
    assert caught.value.path and caught.value.path in str(caught.value)
    return caught.value.reason


def h264(keyframes: int = 10, b_frames: int = 2) -> dict[str, str]:
    return {"g": str(keyframes), "bf": str(b_frames), "crf": "12", "preset": "veryfast"}


def gaps() -> list[int]:
    """Presentation times of a video whose frames last 1, 2, 3, 4, 1, ... periods."""
    return [0, *np.cumsum([1 + i % 4 for i in range(LENGTH - 1)]).tolist()]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small video of every kind, by name; each shows frames 0..LENGTH-1 unless it says else."""
    folder = tmp_path_factory.mktemp("clips")
    open_gop = {"x264-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0", "crf": "12"}
    hevc = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10", "crf": "12"}
    vp9 = {"g": "10", "crf": "12", "b:v": "0", "cpu-used": "8"}
    avi = {"g": "10", "bf": "2", "qscale": "2"}
    fragmented = {"movflags": "frag_keyframe+empty_moov"}
    recipes: dict[str, tuple[str, str, dict[str, object]]] = {
        "h264": ("h264.mp4", "libx264", {"options": h264()}),
        "no_b_frames": ("no_b.mp4", "libx264", {"options": h264(b_frames=0)}),
        "open_gop": ("open_gop.mkv", "libx264", {"options": open_gop}),
        "fragmented": ("fragmented.mp4", "libx264", {"options": h264(), "mux": fragmented}),
        "faststart": (
            "faststart.mp4",
            "libx264",
            {"options": h264(), "mux": {"movflags": "faststart"}},
        ),
        "h264_10bit": (
            "h264_10bit.mp4",
            "libx264",
            {"options": h264(), "pix_fmt": "yuv420p10le"},
        ),
        "bt709": (
            "bt709.mp4",
            "libx264",
            {"options": h264(), "colour": {"colorspace": 1, "color_range": 1}},
        ),
        "full_range": (
            "full_range.mp4",
            "libx264",
            {"options": h264(), "colour": {"colorspace": 1, "color_range": 2}},
        ),
        "vp9": ("vp9.webm", "libvpx-vp9", {"options": vp9}),
        "vp8": ("vp8.webm", "libvpx", {"options": vp9 | {"b:v": "2M"}}),
        "no_duration": ("live.mkv", "libx264", {"options": h264(), "mux": {"live": "1"}}),
        "hevc": ("hevc.mkv", "libx265", {"options": hevc}),
        "mpeg4": ("mpeg4.avi", "mpeg4", {"options": avi}),
        "h264_avi": ("h264.avi", "libx264", {"options": h264()}),
        "ts": ("h264.ts", "libx264", {"options": h264()}),
        "gif": ("clip.gif", "gif", {"pix_fmt": "rgb8"}),
        "av1": ("av1.mp4", "libsvtav1", {"options": {"g": "10", "crf": "12", "preset": "12"}}),
        "vfr_mp4": ("vfr.mp4", "libx264", {"options": h264(), "times": gaps()}),
        "vfr_mkv": ("vfr.mkv", "libx264", {"options": h264(), "times": gaps()}),
        "one": ("one.mp4", "libx264", {"options": h264(), "numbers": [7]}),
        "two": ("two.mp4", "libx264", {"options": h264(), "numbers": [7, 9]}),
        "odd_size": (
            "odd.mp4",
            "libx264",
            {"options": h264(), "size": (97, 65), "pix_fmt": "yuv444p"},
        ),
    }
    made = {
        name: encode(folder / file, codec, **settings)  # type: ignore[arg-type]
        for name, (file, codec, settings) in recipes.items()
    }
    made["edit_list"] = cut(made["h264"], folder / "cut.mp4", start=0.56)
    made["joined"] = cut(made["open_gop"], folder / "joined.mkv", start=0.48)
    for degrees in (90, 180, 270):
        made[f"rotated_{degrees}"] = rotate(
            made["h264"], folder / f"rotated_{degrees}.mp4", degrees=degrees
        )
    return made


@pytest.fixture(scope="session")
def audio_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "tone.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for start in range(0, 20 * 1024, 1024):
            silence = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.rate, frame.pts = 44100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path

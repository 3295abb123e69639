"""Round trips through real video codecs, in memory, by PyAV."""

import io
import os
from fractions import Fraction
from typing import IO

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation
from torch import Generator, Tensor

from aigv_reward.distortions.draws import choose, integer

MP4_CODECS = ("libx264", "libx265", "mpeg4", "mjpeg")
VPX = ("libvpx", "libvpx-vp9")
CODECS = (*MP4_CODECS, "mpeg2video", *VPX)
_X265_SIDE = 64
_ONE_THREAD = 1  # by default the converter starts a thread pool for every frame: 40 times slower
# x264's macroblock tree differs from call to call on processors with AVX-512.
_SAME_EVERY_TIME = "mbtree=0"
PRESETS = ("ultrafast", "superfast", "veryfast", "faster")
# The default converter of libswscale truncates and tints the picture by a grey level.
_ACCURATE = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def _options(codec: str, quality: int, preset: str) -> dict[str, str]:
    scale = str(quality)
    if codec == "libx264":
        return {"crf": scale, "preset": preset, "x264-params": _SAME_EVERY_TIME}
    if codec == "libx265":
        quiet = "pools=none:frame-threads=1:log-level=error"
        return {"crf": scale, "preset": preset, "x265-params": quiet}
    if codec in VPX:
        return {"qmin": scale, "qmax": scale, "b": "4M", "deadline": "realtime", "cpu-used": "8"}
    return {"qmin": scale, "qmax": scale}


def _encode(
    file: str | IO[bytes], container_format: str, frames: Tensor, fps: float,
    codec: str, quality: int, preset: str,
) -> None:  # fmt: skip
    height, width = frames.shape[-2:]
    if height % 2:
        frames = torch.cat((frames, frames[..., -1:, :]), dim=-2)
    if width % 2:
        frames = torch.cat((frames, frames[..., -1:]), dim=-1)
    pictures = frames.permute(0, 2, 3, 1).contiguous().numpy()
    with av.open(file, "w", format=container_format) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream(codec, rate=rate, options=_options(codec, quality, preset))
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.thread_count = 1
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format=stream.pix_fmt, interpolation=_ACCURATE, threads=_ONE_THREAD
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _check(frames: Tensor, fps: float, codec: str, codecs: tuple[str, ...]) -> None:
    if frames.dtype != torch.uint8 or frames.dim() != 4 or frames.shape[1] != 3 or not len(frames):
        raise ValueError(
            f"frames are {frames.dtype} {tuple(frames.shape)}; pass uint8 (T, 3, H, W), T >= 1"
        )
    if not fps > 0:
        raise ValueError(f"fps is {fps}; pass a number above 0")
    if codec not in codecs:
        raise ValueError(f"unknown codec {codec!r}; choose one of {', '.join(codecs)}")


def _for_x265(frames: Tensor) -> Tensor:
    """Frames grown to what x265 encodes without writing past its buffers, edges repeated."""
    height, width = (max(_X265_SIDE, side + -side % 8) for side in frames.shape[-2:])
    rows = torch.arange(height).clamp(max=frames.shape[-2] - 1)
    columns = torch.arange(width).clamp(max=frames.shape[-1] - 1)
    return frames[..., rows, :][..., columns]


def encode_mp4(
    target: str | os.PathLike[str] | IO[bytes],
    frames: Tensor,
    fps: float,
    *,
    crf: int = 18,
    codec: str = "libx264",
    preset: str = "veryfast",
) -> None:
    """Writes frames as an mp4; the same frames and settings always give the same bytes.

    Args:
        target: path, or binary file object that can seek.
        frames: uint8 (T, 3, H, W) RGB; odd sides grow by one repeated row or column.
        fps: frames per second, above 0.
        crf: rate factor 0..51 of libx264 and libx265, quantiser 1..69 of the others; lower is
            better.
        codec: one of `MP4_CODECS`.
        preset: speed preset of libx264 and libx265.

    Raises:
        ValueError: not uint8 (T, 3, H, W), no frames, fps not above 0, an unknown codec, or sides
            that libx265 cannot encode safely.
    """
    _check(frames, fps, codec, MP4_CODECS)
    if codec == "libx265" and frames.shape[-2:] != _for_x265(frames).shape[-2:]:
        raise ValueError(
            f"libx265 corrupts memory at {frames.shape[-1]}x{frames.shape[-2]}; give sides of at "
            f"least {_X265_SIDE} that 8 divides, or another codec"
        )
    file = os.fspath(target) if isinstance(target, str | os.PathLike) else target
    _encode(file, "mp4", frames, fps, codec, crf, preset)


def round_trip(
    frames: Tensor, *, codec: str, quality: int, preset: str = "superfast", fps: float = 16.0
) -> Tensor:
    """The frames as a decoder returns them after encoding.

    Args:
        frames: uint8 (T, 3, H, W).
        codec: one of `CODECS`.
        quality: as `crf` of `encode_mp4`; quantiser 0..63 of VP8 and VP9.
        preset: speed preset of libx264 and libx265.
        fps: frames per second that the rate control is told.

    Returns:
        uint8, the shape of `frames`.

    Raises:
        ValueError: as `encode_mp4`.
    """
    _check(frames, fps, codec, CODECS)
    buffer = io.BytesIO()
    padded = _for_x265(frames) if codec == "libx265" else frames
    _encode(buffer, "matroska", padded, fps, codec, quality, preset)
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        pictures = [
            frame.to_ndarray(format="rgb24", threads=_ONE_THREAD)
            for frame in container.decode(stream)
        ]
    assert len(pictures) == len(frames), f"{codec} returned {len(pictures)} of {len(frames)} frames"
    decoded = torch.from_numpy(np.stack(pictures))[:, : frames.shape[2], : frames.shape[3]]
    return decoded.permute(0, 3, 1, 2).contiguous()


def codec_noise(frames: Tensor, *, generator: Generator) -> Tensor:
    """The frames after a visually good H.264 encoding, as any clip on disk has had.

    Training applies it to clean and degraded clips alike, so that traces of a codec tell nothing
    about severity.

    Args:
        frames: uint8 (T, 3, H, W).
        generator: draws the rate factor (14..23) and the preset.

    Returns:
        uint8, the shape of `frames`.
    """
    crf = integer(14, 23, generator)
    return round_trip(frames, codec="libx264", quality=crf, preset=choose(PRESETS, generator))

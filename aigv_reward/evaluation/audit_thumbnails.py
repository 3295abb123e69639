"""Small pictures of one clip under every distortion and hack, as data that a page can hold."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import av
from torch import Tensor

from aigv_reward.distortions import encode_mp4
from aigv_reward.evaluation.audit_clips import AuditClip, middle, shrunk
from aigv_reward.evaluation.audit_draws import distorted
from aigv_reward.evaluation.audit_settings import AuditSettings
from aigv_reward.evaluation.hacks import HACKS

SIDE = 144
"""Pixels of a thumbnail's smaller side, at most."""

FRAMES = 32
SHOWN = (2, 4)
"""Severities that are shown."""


@dataclass(frozen=True)
class Thumbnail:
    """A clip in small, as data URLs.

    Attributes:
        still: its middle frame, JPEG.
        video: mp4.
        width, height: in pixels.
    """

    still: str
    video: str
    width: int
    height: int


@dataclass(frozen=True)
class Thumbnails:
    """One clip in all its versions.

    Attributes:
        clean: as it is.
        distortions: {(name, severity): its variant 0}, for the severities `SHOWN`.
        hacks: {(name, strength): after the hack}.
    """

    clean: Thumbnail
    distortions: dict[tuple[str, int], Thumbnail]
    hacks: dict[tuple[str, float], Thumbnail]


def thumbnails(clip: AuditClip, index: int, settings: AuditSettings) -> Thumbnails:
    """Thumbnails of the clip at place `index` of an audit with these settings."""
    return Thumbnails(
        clean=thumbnail(clip.frames, clip.fps),
        distortions={
            (name, severity): thumbnail(
                distorted(clip, index, name, 0, severity, settings), clip.fps
            )
            for name in settings.distortions
            for severity in SHOWN
        },
        hacks={
            (hack.name, strength): thumbnail(hack.apply(clip.frames, strength), clip.fps)
            for hack in HACKS.values()
            for strength in hack.strengths
        },
    )


def thumbnail(frames: Tensor, fps: float) -> Thumbnail:
    """At most `FRAMES` frames (T, 3, H, W) uint8 around the middle, in small."""
    frames = frames[middle(len(frames), FRAMES)]
    height, width = frames.shape[-2:]
    scale = min(1.0, SIDE / min(height, width))
    height, width = (max(2, round(side * scale / 2) * 2) for side in (height, width))
    frames = shrunk(frames, height, width)
    file = io.BytesIO()
    encode_mp4(file, frames, fps, crf=27, preset="faster")
    return Thumbnail(
        _url("image/jpeg", jpeg(frames[len(frames) // 2])),
        _url("video/mp4", file.getvalue()),
        width,
        height,
    )


def jpeg(picture: Tensor) -> bytes:
    """A picture, uint8 (3, H, W) with even sides, as a JPEG file."""
    pixels = picture.permute(1, 2, 0).contiguous().numpy()
    codec = av.CodecContext.create("mjpeg", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.height, codec.width = pixels.shape[:2]
    codec.pix_fmt = "yuvj420p"
    codec.framerate = 1  # type: ignore[assignment]
    codec.options = {"qmin": "4", "qmax": "4"}
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"

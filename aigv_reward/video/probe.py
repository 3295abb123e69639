"""What a file holds, found without decoding it where its packets tell."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from aigv_reward.video.source import Source
from aigv_reward.video.truncation import truncation
from aigv_reward.video.video import VideoDecodeError

MAX_FRAME_PIXELS: Final = 1 << 27
"""Largest frame that is decoded: 134 million pixels, four times 8K."""

# playlists and text formats, which open other files or draw text, are left out
_FORMATS: Final = (
    "mov,matroska,avi,gif,mpegts,mpeg,mpegvideo,m4v,flv,asf,ogg,ivf,h264,hevc,obu,nut,mxf,apng"
)
_PACKET_IS_FRAME: Final = {"h264", "hevc", "vp9", "libdav1d", "av1", "gif", "mjpeg"}
_PACKETS_IN_ORDER: Final = {"mov", "matroska", "gif"}


@dataclass(frozen=True)
class Probe:
    """The facts of a video stream that decide how it is read.

    Attributes:
        container: the demuxer's first name, such as "mov".
        codec: the decoder's name.
        pixel_format: FFmpeg's name of it.
        height, width: of a coded frame, before rotation, pixels.
        num_packets: packets in the file.
        num_frames: frames that decode.
        fps: mean frames per second.
        edited: the container hides some packets (an edit list), or shows them differently.
        reordered: packets are not stored in presentation order.
        num_declared: frames that the header declares; 0 where it does not.
    """

    container: str
    codec: str
    pixel_format: str
    height: int
    width: int
    num_packets: int
    num_frames: int
    fps: float
    edited: bool
    reordered: bool
    num_declared: int = 0


@contextmanager
def open_stream(source: Source) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream, open for the length of a `with` block.

    Raises:
        VideoDecodeError: FFmpeg fails, there or inside the block, or there is no video stream.
    """
    try:
        with av.open(
            source.path if source.path is not None else io.BytesIO(source.data or b""),
            mode="r",
            metadata_errors="replace",
            buffer_size=1 << 20,
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            options={"max_pixels": str(MAX_FRAME_PIXELS)},
        ) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream) or _is_cover(stream):
                raise VideoDecodeError(source.name, "it has no video stream")
            if stream.codec_context is None:
                raise VideoDecodeError(source.name, "its video codec is unknown to FFmpeg")
            stream.thread_type = "AUTO"
            yield container, stream
    except FFmpegError as error:
        raise VideoDecodeError(source.name, f"{error.strerror} (FFmpeg)") from error


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def probe(source: Source) -> Probe:
    """The facts of a video, from one pass over its packets.

    A packet is one frame for most codecs and containers; where it may not be (hidden and packed
    frames, pictures that lead the first key frame), the frames are counted by decoding them.

    Raises:
        VideoDecodeError: not a video, no frames, truncated, or frames that are too large.
    """
    cut = truncation(source)
    if cut is not None:
        raise VideoDecodeError(source.name, cut)
    with open_stream(source) as (container, stream):
        context = stream.codec_context
        width, height = context.width, context.height
        check_size(source, width, height)
        packets = [packet for packet in container.demux(stream) if packet.size]
        declared = stream.frames
        shown = [packet for packet in packets if not packet.is_discard]
        edited = len(shown) < len(packets)
        if not shown:
            raise VideoDecodeError(source.name, "it has no frames")
        if any(packet.is_corrupt for packet in packets) or declared > len(packets):
            said = f"it declares {declared} frames and" if declared else "it"
            raise VideoDecodeError(
                source.name,
                f"it is truncated or damaged: {said} holds {_whole(packets)} whole ones",
            )
        times = [packet.pts for packet in packets]
        known = [time for time in times if time is not None]
        ordered = len(known) == len(times) and known == sorted(known)
        name = container.format.name.split(",")[0]
        counted = (
            context.name in _PACKET_IS_FRAME
            and name in _PACKETS_IN_ORDER
            and packets[0].is_keyframe
            and len(known) == len(times)
            and (edited or min(known) == known[0])
        )
        facts = Probe(
            container=name,
            codec=context.name,
            pixel_format=context.pix_fmt or "unknown",
            height=height,
            width=width,
            num_packets=len(packets),
            num_frames=len(shown),
            fps=_frame_rate(stream, [p.pts for p in shown if p.pts is not None]),
            edited=edited or 0 < declared != len(packets),
            reordered=not ordered or name == "avi",
            num_declared=declared,
        )
    if counted:
        return facts
    count = count_frames(source)
    if not count:
        raise VideoDecodeError(source.name, f"none of its {facts.num_packets} packets decodes")
    return replace(facts, num_frames=count)


def count_frames(source: Source) -> int:
    """How many frames decode, found by decoding them without converting any."""
    with open_stream(source) as (container, stream):
        return sum(1 for _ in decoded(source, container, stream))


def decoded(source: Source, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """The frames of an open stream in presentation order.

    What cannot be decoded before the first whole frame (a stream joined in the middle) is left
    out; anything after it is an error.

    Raises:
        VideoDecodeError: a damaged frame.
    """
    position = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError as error:
            if position:
                raise VideoDecodeError(
                    source.name, f"it is damaged after frame {position - 1}: {error.strerror}"
                ) from error
            continue
        for frame in frames:
            assert isinstance(frame, VideoFrame)
            if not frame.is_corrupt:
                position += 1
                yield frame
            elif position:
                raise VideoDecodeError(source.name, f"frame {position} is damaged")


def check_size(source: Source, width: int, height: int) -> None:
    """Refuses frames without pixels and frames above `MAX_FRAME_PIXELS`.

    FFmpeg was told the limit and reports no size for some codecs above it.
    """
    if width < 1 or height < 1:
        raise VideoDecodeError(
            source.name,
            f"FFmpeg gives a frame size of {width}x{height}: the header declares none, or one "
            f"above the limit of {MAX_FRAME_PIXELS} pixels; scale the video down",
        )
    if width * height > MAX_FRAME_PIXELS:
        raise VideoDecodeError(
            source.name,
            f"its frames are {width}x{height}, above the limit of {MAX_FRAME_PIXELS} pixels; "
            "scale the video down",
        )


def _whole(packets: list[Packet[VideoStream]]) -> int:
    return sum(not packet.is_corrupt for packet in packets)


def _frame_rate(stream: VideoStream, times: list[int]) -> float:
    """The declared mean rate, or the measured one where it differs by more than rounding.

    Matroska declares the nominal rate of a video with varying frame durations. One frame whose
    rate nobody declares has the one FFmpeg guesses, or 1.
    """
    declared = stream.average_rate or stream.guessed_rate
    span = max(times) - min(times) if times else 0
    if span and stream.time_base:
        measured = Fraction(len(times) - 1) / (span * stream.time_base)
        if not declared or abs(declared / measured - 1) > 0.01:
            declared = measured
    return float(declared) if declared and declared > 0 else 1.0

"""What a file holds, found without decoding it where its packets tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, NamedTuple

from av.video.stream import VideoStream

from aigv_reward.video.source import Source
from aigv_reward.video.stream import check_size, decoded, open_stream
from aigv_reward.video.truncation import truncation
from aigv_reward.video.video import VideoDecodeError

_PACKET_IS_FRAME: Final = {"h264", "hevc", "vp9", "libdav1d", "av1", "gif", "mjpeg"}
_PACKETS_IN_ORDER: Final = {"mov", "matroska", "gif"}


class _Packet(NamedTuple):
    pts: int | None
    is_keyframe: bool
    is_corrupt: bool
    is_discard: bool


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
        codec, pixel_format = context.name, context.pix_fmt
        width, height = context.width, context.height
        check_size(source, width, height)
        declared = stream.frames
        # without their data, which is the whole file
        packets = [
            _Packet(packet.pts, packet.is_keyframe, packet.is_corrupt, packet.is_discard)
            for packet in container.demux(stream)
            if packet.size
        ]
        shown = [packet for packet in packets if not packet.is_discard]
        edited = len(shown) < len(packets)
        if not shown:
            raise VideoDecodeError(source.name, "it has no frames")
        whole = sum(not packet.is_corrupt for packet in packets)
        if whole < len(packets) or declared > len(packets):
            said = f"it declares {declared} frames and" if declared else "it"
            raise VideoDecodeError(
                source.name, f"it is truncated or damaged: {said} holds {whole} whole ones"
            )
        times = [packet.pts for packet in packets]
        known = [time for time in times if time is not None]
        ordered = len(known) == len(times) and known == sorted(known)
        name = container.format.name.split(",")[0]
        counted = (
            codec in _PACKET_IS_FRAME
            and name in _PACKETS_IN_ORDER
            and packets[0].is_keyframe
            and len(known) == len(times)
            and (edited or min(known) == known[0])
        )
        facts = Probe(
            container=name,
            codec=codec,
            pixel_format=pixel_format or "unknown",
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

"""Frames through decord."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import decord
import torch
from av.container import InputContainer
from av.video.stream import VideoStream
from decord._ffi.base import DECORDLimitReachedError
from torch import Tensor

from aigv_reward.video.nal_units import NalUnits
from aigv_reward.video.orientation import UPRIGHT, orientation
from aigv_reward.video.probe import Probe
from aigv_reward.video.source import Source
from aigv_reward.video.stream import decoded, open_stream
from aigv_reward.video.video import VideoDecodeError

_CONTAINERS: Final = {"mov", "matroska", "avi"}
_CODECS: Final = {"h264", "hevc"}
_PIXEL_FORMATS: Final = {"yuv420p", "yuvj420p", "yuv444p"}
_CHUNK: Final = 32
_ERRORS: Final = (
    decord.DECORDError,
    DECORDLimitReachedError,
    RuntimeError,
    AssertionError,
    IndexError,
)


def refusal(source: Source, facts: Probe) -> str | None:
    """Why decord would fail on a video or return wrong frames; None where it is right.

    Compared with PyAV, decord repeats frames in MPEG transport streams, shows the frames that an
    edit list hides, counts packets that show nothing, rejects GIF and AV1, rounds colours deeper
    than 8 bits differently, takes another one of several video tracks, scales frames whose size
    changes midway to that of the first, and applies only the rotations that MP4 and MOV declare.
    VP8, VP9 and MPEG-4 may change their size in any frame. On all other whole files the two agree
    to the bit; in damaged ones decord conceals what PyAV reports.

    Raises:
        VideoDecodeError: the file cannot be demuxed, or is turned by no multiple of 90 degrees.
    """
    if facts.container not in _CONTAINERS:
        return f"container {facts.container}"
    if facts.codec not in _CODECS:
        return f"codec {facts.codec}"
    if facts.pixel_format not in _PIXEL_FORMATS:
        return f"pixel format {facts.pixel_format}"
    if facts.edited:
        return "an edit list hides some of its frames"
    if facts.num_frames != facts.num_packets:
        return f"{facts.num_packets} packets hold {facts.num_frames} frames"
    with open_stream(source) as (container, stream):
        tracks = len(container.streams.video)
        if tracks > 1:
            return f"{tracks} video tracks"
        changes = _changes(container, stream)
    if changes is not None:
        return changes
    with open_stream(source) as (container, stream):
        first = next(decoded(source, container, stream), None)
        shown = None if first is None else orientation(source, first)
    if shown and shown != UPRIGHT and (facts.container != "mov" or not shown.is_rotation):
        return "it does not apply its display matrix"
    return None


def _changes(container: InputContainer, stream: VideoStream) -> str | None:
    """What may change the size or the orientation of frames midway."""
    context = stream.codec_context
    units = NalUnits(context.name, context.extradata)
    for packet in container.demux(stream):
        if packet.has_sidedata("new_extradata") or packet.has_sidedata("param_change"):
            return "its decoder configuration changes midway"
        units.read(bytes(packet))
        if units.finding is not None:
            return units.finding
    return None


def decode(source: Source, facts: Probe, indices: Sequence[int]) -> Tensor:
    """The wanted frames.

    decord's seeks and skips return wrong frames where packets are reordered (B-frames); there it
    decodes from the start.

    Args:
        source: the video, for which `refusal` gives None.
        facts: its probe.
        indices: ascending, without repeats, below `facts.num_frames`.

    Returns:
        (N, H, W, 3) uint8 RGB, rotated as the container says.

    Raises:
        VideoDecodeError: decord fails, or would repeat frames because some do not decode.
    """
    # the level belongs to the FFmpeg inside decord; every failure is reported as an exception
    decord.logging.set_level(decord.logging.QUIET)
    reader = out = None
    try:
        target = source.path if source.path is not None else source.open()
        # fault_tol: fail on the first frame that it would replace by a neighbour; with more than
        # one thread the frames of a damaged file differ from call to call
        reader = decord.VideoReader(target, fault_tol=1e-9, num_threads=1)
        if len(reader) == facts.num_frames:
            out = _decode(reader, indices, sequential=facts.reordered)
        else:
            failure = f"finds {len(reader)} frames of {facts.num_frames}"
    except _ERRORS as error:
        # raised below: a chained traceback would keep the reader and its threads alive
        failure = "fails: " + (str(error).strip().splitlines() or [type(error).__name__])[0]
    finally:
        del reader
    if out is None:
        raise VideoDecodeError(source.name, f"decord {failure}")
    return out


def _decode(reader: decord.VideoReader, indices: Sequence[int], *, sequential: bool) -> Tensor:
    if not sequential or len(indices) == indices[-1] + 1:
        return _batch(reader, indices)
    kept = []
    for start in range(0, indices[-1] + 1, _CHUNK):
        stop = min(start + _CHUNK, indices[-1] + 1)
        chunk = _batch(reader, range(start, stop))
        kept.append(chunk[[index - start for index in indices if start <= index < stop]])
    return torch.cat(kept)


def _batch(reader: decord.VideoReader, indices: Sequence[int]) -> Tensor:
    return torch.utils.dlpack.from_dlpack(reader.get_batch(list(indices)).to_dlpack())

"""An open video file, and the frames that decode from it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from aigv_reward.video.source import Source
from aigv_reward.video.video import VideoDecodeError

MAX_FRAME_PIXELS: Final = 1 << 27
"""Largest frame that is decoded: 134 million pixels, four times 8K."""

# playlists and text formats, which open other files or draw text, are left out
_FORMATS: Final = (
    "mov,matroska,avi,gif,mpegts,mpeg,mpegvideo,m4v,flv,asf,ogg,ivf,h264,hevc,obu,nut,mxf,apng"
)


@contextmanager
def open_stream(source: Source) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream, open for the length of a `with` block.

    It decodes on one thread: the same file then gives the same frames or the same error, always.

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
            # frame threads lose marks of damage by chance, slice threads conceal what one does not
            stream.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            yield container, stream
    except FFmpegError as error:
        raise VideoDecodeError(source.name, f"{error.strerror} (FFmpeg)") from error


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


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

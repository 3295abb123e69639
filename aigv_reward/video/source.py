"""Where the bytes of a video come from."""

from __future__ import annotations

import io
import os
import re
import reprlib
import stat
from dataclasses import dataclass
from typing import BinaryIO

from aigv_reward.video.video import VideoDecodeError

VideoSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")


@dataclass(frozen=True)
class Source:
    """A local file or bytes in memory, found to hold something.

    Attributes:
        name: what error messages call it.
        path: absolute path, or None where `data` holds the bytes. Absolute, because a decoder takes
            a relative `a:b.mp4` for a protocol. Files whose path is not UTF-8 are read into `data`.
        data: the bytes, or None where `path` names them.
        size: bytes in all.
    """

    name: str
    path: str | None
    data: bytes | None
    size: int

    def open(self) -> BinaryIO:
        """A new binary file at the start of the video."""
        if self.data is not None:
            return io.BytesIO(self.data)
        assert self.path is not None
        return open(self.path, "rb")


def resolve(source: VideoSource) -> Source:
    """The source behind whatever the caller named a video by.

    Raises:
        VideoDecodeError: a URL, a missing, special, unreadable or empty file, a folder, or a file
            object that is closed, cannot be read or was opened as text.
        TypeError: none of the types of `VideoSource`.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), "<bytes>")
    if isinstance(source, (str, os.PathLike)):
        return _from_path(os.fspath(source))
    given: object = source
    read = getattr(given, "read", None)
    if not callable(read):
        shown = " ".join(reprlib.repr(given).split())
        raise TypeError(
            f"a video cannot be read from {shown}, which is of type {type(given).__name__}; "
            "pass a path, bytes or a binary file object"
        )
    name = getattr(given, "name", None)
    name = name if isinstance(name, str) else "<file object>"
    if isinstance(given, io.TextIOBase):
        raise VideoDecodeError(name, "its file object gives text, not bytes; open it as 'rb'")
    try:
        data = read()
    except Exception as error:  # whatever the caller's object raises: OSError, zlib.error, ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VideoDecodeError(
            name, f"its file object cannot be read ({reason}); pass one that is open for reading"
        ) from error
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise VideoDecodeError(
            name, f"its file object gives {type(data).__name__}, not bytes; open it as 'rb'"
        )
    return _from_bytes(bytes(data), name)


def _from_bytes(data: bytes, name: str) -> Source:
    if not data:
        raise VideoDecodeError(name, "it is empty (0 bytes)")
    return Source(name=name, path=None, data=data, size=len(data))


def _from_path(name: str) -> Source:
    if _URL.match(name):
        raise VideoDecodeError(name, "it is a URL; download it and pass the local path")
    try:
        status = os.stat(name)
        if stat.S_ISDIR(status.st_mode):
            raise VideoDecodeError(name, "it is a folder; pass the path of one file")
        if not stat.S_ISREG(status.st_mode):
            raise VideoDecodeError(name, "it is not a regular file; copy it to one")
        with open(name, "rb"):
            pass
    except (OSError, ValueError) as error:
        if isinstance(error, VideoDecodeError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise VideoDecodeError(name, f"it cannot be opened: {reason}") from error
    if status.st_size == 0:
        raise VideoDecodeError(name, "it is empty (0 bytes)")
    path = os.path.abspath(name)
    if any("\udc80" <= letter <= "\udcff" for letter in path):  # the decoders want UTF-8
        with open(path, "rb") as file:
            return _from_bytes(file.read(), name)
    return Source(name=name, path=path, data=None, size=status.st_size)

"""Files that end before their own headers say so.

MP4 and AVI declare how many frames they hold, so their demuxers tell. Matroska and GIF do not: a
file cut in the middle demuxes without an error as a shorter video.
"""

from __future__ import annotations

from typing import BinaryIO

from aigv_reward.video.source import Source

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def truncation(source: Source) -> str | None:
    """Why a Matroska, WebM or GIF file is incomplete; None if it is not, or another format.

    A Matroska file written to a pipe declares no size, and a GIF may lack its trailer: neither is
    taken for truncated.
    """
    with source.open() as file:
        magic = file.read(6)
        file.seek(0)
        if magic.startswith(_EBML):
            return _matroska(file, source.size)
        if magic in (b"GIF87a", b"GIF89a"):
            return _gif(file, source.size)
    return None


def _matroska(file: BinaryIO, size: int) -> str | None:
    file.seek(4)
    header = _element_size(file)
    if header is None:
        return None
    file.seek(header, 1)
    if file.read(4) != _SEGMENT:
        return None
    segment = _element_size(file)
    if segment is None or file.tell() + segment <= size:
        return None
    return f"it is truncated: it declares {file.tell() + segment} bytes and has {size}"


def _element_size(file: BinaryIO) -> int | None:
    """An EBML variable-length size; None where it is unknown or missing.

    References: RFC 8794, sections 4 and 6.2.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    mask = (1 << (7 * length)) - 1
    value = int.from_bytes(first + rest, "big") & mask
    return None if value == mask or len(rest) < length - 1 else value


def _gif(file: BinaryIO, size: int) -> str | None:
    """References: GIF89a specification, sections 18 to 27."""
    cut = f"it is truncated: the GIF's {size} bytes end inside a block"
    header = file.read(13)
    if len(header) < 13:
        return cut
    file.seek(_colour_table(header[10]), 1)
    while kind := file.read(1):
        if kind == b"\x2c":  # an image: descriptor, colour table, code size
            descriptor = file.read(9)
            if len(descriptor) < 9:
                return cut
            file.seek(_colour_table(descriptor[8]) + 1, 1)
        elif kind == b"\x21":  # an extension: label
            file.seek(1, 1)
        else:  # the trailer, or bytes that no GIF reader looks at
            return None
        while length := file.read(1):
            if not length[0]:
                break
            file.seek(length[0], 1)
        else:
            return cut
    return None


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

"""Files that end before their own headers say so.

MP4 and AVI declare how many frames they hold, so their demuxers tell. Matroska, GIF and the
fragments of MP4 do not: a file cut in the middle demuxes without an error as a shorter video.
"""

from __future__ import annotations

from typing import BinaryIO, Final

from aigv_reward.video.source import Source

_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_UNKNOWN: Final = -1
_BOXES: Final = (
    *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"sidx", b"ssix", b"free", b"skip"),
    *(b"wide", b"uuid", b"emsg", b"prft", b"meta", b"pdin", b"udta"),
)
"""What an MP4 file consists of."""


def truncation(source: Source) -> str | None:
    """Why a Matroska, WebM, GIF or fragmented MP4 file is incomplete; None if it is not.

    A Matroska file written to a pipe declares no size, and a GIF may lack its trailer: neither is
    taken for truncated. Where the sizes are missing, a cut between two blocks is not seen, nor one
    between two fragments of an MP4.
    """
    with source.open() as file:
        magic = file.read(8)
        file.seek(0)
        if magic.startswith(_EBML):
            return _matroska(file, source.size)
        if magic.startswith((b"GIF87a", b"GIF89a")):
            return _gif(file, source.size)
        if magic[4:] in (b"ftyp", b"styp", b"moov", b"moof", b"sidx"):
            return _fragments(file, source.size)
    return None


def _fragments(file: BinaryIO, size: int) -> str | None:
    """Bytes that are no box end the search: FFmpeg will have its opinion on them.

    References: ISO/IEC 14496-12, sections 4.2 and 8.8.4.
    """
    fragmented, end, last = False, 0, b""
    while size - end >= 4:  # of fewer bytes nobody knows what they begin
        start = end
        file.seek(start)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4]), header[4:8]
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:])
        if length < 8 or not any(box.startswith(kind) for box in _BOXES):
            break  # 0: up to the end of the file
        fragmented |= kind == b"moof"
        last, end = kind, start + length
        if fragmented and end > size:
            return f"it is truncated: its {size} bytes end inside the MP4 box at byte {start}"
    if last == b"moof":
        return f"it is truncated: its {size} bytes end before the frames of the last MP4 fragment"
    return None


def _matroska(file: BinaryIO, size: int) -> str | None:
    """References: RFC 8794, section 6.2; RFC 9559, section 5.1."""
    file.seek(4)
    header = _element_size(file)
    if header is None or header == _UNKNOWN:
        return None
    file.seek(header, 1)
    if file.read(4) != _SEGMENT:
        return None
    segment = _element_size(file)
    if segment is None:
        return None
    if segment == _UNKNOWN:
        return _elements(file, size)
    if file.tell() + segment <= size:
        return None
    return f"it is truncated: it declares {file.tell() + segment} bytes and has {size}"


def _elements(file: BinaryIO, size: int) -> str | None:
    """Whether the last element of a segment without a size is cut; clusters may have none either.

    Bytes that are no element end the search: FFmpeg will have its opinion on them.
    """
    while (start := file.tell()) < size:
        kind = file.read(1)
        if not 0x10 <= kind[0]:
            return None
        kind += file.read(8 - kind[0].bit_length())
        if kind == _EBML:  # another file begins
            return None
        length = _element_size(file)
        if length is None and file.tell() < size:
            return None
        if length == _UNKNOWN and kind == _CLUSTER:
            continue
        if length == _UNKNOWN:
            return None
        if length is None or file.tell() + length > size:
            return f"it is truncated: its {size} bytes end inside the element at byte {start}"
        file.seek(length, 1)
    return None


def _element_size(file: BinaryIO) -> int | None:
    """An EBML variable-length size; None where there is none.

    References: RFC 8794, sections 4 and 6.2.
    """
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    mask = (1 << (7 * length)) - 1
    value = int.from_bytes(first + rest) & mask
    if len(rest) < length - 1:
        return None
    return _UNKNOWN if value == mask else value


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

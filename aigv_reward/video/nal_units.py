"""What the NAL units of H.264 and HEVC say about the size and the orientation of frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_PARAMETER_SETS: Final = {"h264": 7, "hevc": 33}
_MESSAGES: Final = {"h264": 6, "hevc": 39}
_DISPLAY_ORIENTATION: Final = 47
_START: Final = b"\0\0\1"


class NalUnits:
    """A reader of a stream's packets that finds what may change from frame to frame.

    The frame size stands in sequence parameter sets, of which a stream has one unless something
    changes; a supplemental message (SEI) may turn frames.

    Args:
        codec: "h264" or "hevc".
        extradata: what the container stores beside the packets, which tells how units are split.

    References: ITU-T H.264, 7.3.1, 7.3.2.3 and D.1.27; ITU-T H.265, 7.3.1.2 and D.2.17;
    ISO/IEC 14496-15, 5.3.3.1 and 8.3.3.1.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._hevc = codec == "hevc"
        self._wanted = _PARAMETER_SETS[codec], _MESSAGES[codec]
        self._sets: set[bytes] = set()
        self._prefix = 0
        self.finding: str | None = None
        stored = extradata or b""
        try:
            if stored[:1] == b"\1":
                self._prefix = (stored[21 if self._hevc else 4] & 3) + 1
                units = _hevc_record(stored) if self._hevc else _avc_record(stored)
            else:
                units = _split(stored, 0)
            self._read(units)
        except (IndexError, ValueError):
            self.finding = "its decoder configuration is damaged"

    def read(self, packet: bytes) -> None:
        """Takes note of one packet; `finding` then says in words what changes, if anything."""
        if self.finding is None:
            try:
                self._read(_split(packet, self._prefix))
            except (IndexError, ValueError):
                self.finding = "its NAL units are damaged"

    def _read(self, units: Iterator[bytes]) -> None:
        for unit in units:
            kind = unit[0] >> 1 & 63 if self._hevc else unit[0] & 31
            if kind not in self._wanted:
                continue
            if kind == self._wanted[1]:
                if _turns(unit[2 if self._hevc else 1 :]):
                    self.finding = "a message within the stream turns its frames"
                continue
            self._sets.add(unit.rstrip(b"\0"))
            if len(self._sets) > 1:
                self.finding = "its parameter sets change, and with them perhaps the frame size"


def _split(data: bytes, prefix: int) -> Iterator[bytes]:
    """Units after start codes (prefix 0), or each after its length in `prefix` bytes.

    A packet that begins with a start code has no lengths, whatever the container says: so FFmpeg.
    """
    if not prefix or data.startswith(b"\0" + _START):
        yield from (unit for unit in data.split(_START)[1:] if unit)
        return
    at = 0
    while at < len(data):
        end = at + prefix + int.from_bytes(data[at : at + prefix])
        if end > len(data):
            raise ValueError
        if end > at + prefix:
            yield data[at + prefix : end]
        at = end


def _avc_record(stored: bytes) -> Iterator[bytes]:
    at = 6
    for _ in range(stored[5] & 31):
        end = at + 2 + int.from_bytes(stored[at : at + 2])
        yield stored[at + 2 : end]
        at = end


def _hevc_record(stored: bytes) -> Iterator[bytes]:
    at = 23
    for _ in range(stored[22]):
        count = int.from_bytes(stored[at + 1 : at + 3])
        at += 3
        for _ in range(count):
            end = at + 2 + int.from_bytes(stored[at : at + 2])
            yield stored[at + 2 : end]
            at = end


def _turns(message: bytes) -> bool:
    """Whether one of the messages of an SEI unit is a display orientation."""
    data = message.replace(b"\0\0\3", b"\0\0").rstrip(b"\0")
    at = 0
    while at + 2 <= len(data):  # a last byte alone is the end of the unit
        numbers = [0, 0]
        for place in (0, 1):
            while data[at] == 255:
                numbers[place] += 255
                at += 1
            numbers[place] += data[at]
            at += 1
        if numbers[0] == _DISPLAY_ORIENTATION:
            return True
        at += numbers[1]
    return False

"""A multipart body as it arrives: its JSON to memory, each of its videos straight to its file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from aigv_reward.integrations.server.refusals import RequestRefused
from aigv_reward.integrations.server.settings import Limits
from aigv_reward.integrations.server.spool import RequestFolder

REQUEST_PART: Final = "request"

LONGEST_BOUNDARY: Final = 70
"""As RFC 2046 has it."""

LONGEST_HEADERS: Final = 2 << 10
"""Bytes before the content of a part: its name and the name of its file, for the most."""

_BLOCK: Final = 1 << 20


async def read_parts(
    request: Request, folder: RequestFolder, limits: Limits, boundary: bytes
) -> tuple[bytes, dict[str, str]]:
    """The JSON of a multipart body, and the files of its other parts, {name: path}.

    Args:
        request: whose body.
        folder: for the files.
        limits: `items` bounds the parts, `json_bytes` the JSON.
        boundary: between the parts.

    Raises:
        RequestRefused: no such body, no JSON, parts without a name or with the same one.
    """
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise refused(
            f"the content type's boundary has {len(boundary)} characters; send 1 to "
            f"{LONGEST_BOUNDARY}"
        )
    parts = _Parts(folder.path, limits)
    parser = MultipartParser(boundary, parts.callbacks())  # type: ignore[arg-type]
    async with aclosing(folder.chunks(request)) as chunks:
        async for chunk in chunks:
            try:
                parser.write(chunk)
            except FormParserError as error:
                named = boundary.decode("latin-1")
                raise refused(
                    f"the body has no parts between boundaries {named!r} ({error}); send multipart"
                ) from None
            if parts.waiting >= _BLOCK:
                await asyncio.to_thread(parts.write)
    await asyncio.to_thread(parts.write)
    if not parts.ended:
        raise refused(f"the body ends after {folder.bytes} bytes, before its last boundary")
    if parts.text is None:
        raise refused(f"the body has no part {REQUEST_PART!r} with the request's JSON")
    return bytes(parts.text), parts.paths


class _Parts:
    """What the parser reports.

    Attributes:
        text: of the part with the JSON, once it has come.
        paths: {name: file} of the other parts.
        waiting: bytes that are not yet in their files.
        ended: whether the last boundary has come.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.text: bytearray | None = None
        self.paths: dict[str, str] = {}
        self.waiting = 0
        self.ended = False
        self._folder, self._limits = folder, limits
        self._blocks: dict[str, bytearray] = {}
        self._current = bytearray()
        self._count = self._header_bytes = 0
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = bytearray(), bytearray()

    def callbacks(self) -> dict[str, Callable[..., Any]]:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header(self._field, data[start:end]),
            "on_header_value": lambda data, start, end: self._header(self._value, data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._named,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def write(self) -> None:
        """Append what waits to the files."""
        for path, block in self._blocks.items():
            with open(path, "ab") as file:
                file.write(block)
            block.clear()
        self._blocks = {p: block for p, block in self._blocks.items() if block is self._current}
        self.waiting = 0

    def _begin(self) -> None:
        self._count += 1
        most = self._limits.items
        if self._count > most + 1:
            raise RequestRefused(
                413, "too_large", f"more than {most} videos, which is the limit; send fewer at once"
            )
        self._header_bytes, self._headers = 0, {}

    def _header(self, text: bytearray, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > LONGEST_HEADERS:
            raise refused(
                f"a part's headers are longer than {LONGEST_HEADERS} bytes; shorten its names"
            )
        text += data

    def _header_end(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def _named(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        coding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if coding not in (b"binary", b"7bit", b"8bit"):
            raise refused(
                f"a part with the transfer encoding {coding[:80].decode('latin-1')!r}; send its "
                "bytes as they are"
            )
        try:
            name = options[b"name"].decode("utf-8")
        except KeyError:
            raise refused("a part has no name in its Content-Disposition; give it one") from None
        except UnicodeDecodeError:
            raise refused("a part's name is not UTF-8; send UTF-8") from None
        if name in self.paths or (name == REQUEST_PART and self.text is not None):
            raise refused(f"two parts have the name {name[:80]!r}; make them differ")
        self._current = bytearray()
        if name == REQUEST_PART:
            self.text = self._current
            return
        self.paths[name] = path = str(self._folder / f"file{len(self.paths)}")
        self._blocks[path] = self._current

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._current += data[start:end]
        if self._current is not self.text:
            self.waiting += end - start
        elif len(self._current) > self._limits.json_bytes:
            raise RequestRefused(
                413,
                "too_large",
                f"the part {REQUEST_PART!r} is longer than {self._limits.json_bytes} bytes; send "
                "fewer videos at once",
            )

    def _end(self) -> None:
        self.ended = True


def refused(reason: str) -> RequestRefused:
    """What a malformed body is answered."""
    return RequestRefused(422, "invalid_multipart", reason)

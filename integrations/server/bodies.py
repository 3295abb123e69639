"""The three encodings of `POST /v1/score`."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import aclosing
from pathlib import Path
from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from aigv_reward.integrations.server.allowed_paths import read_paths
from aigv_reward.integrations.server.asked import (
    Asked,
    FileItem,
    TensorItem,
    Video,
    parse,
)
from aigv_reward.integrations.server.refusals import RequestRefused
from aigv_reward.integrations.server.settings import Limits
from aigv_reward.integrations.server.spool import RequestFolder
from aigv_reward.integrations.server.tensor_header import (
    PREFIX,
    TensorHeader,
    header_size,
    parse_header,
    refused,
)

TENSORS: Final = "application/vnd.aigv.safetensors"
MULTIPART: Final = "multipart/form-data"
JSON: Final = "application/json"
REQUEST_PART: Final = "request"

_BLOCK: Final = 1 << 20
_IN_MEMORY: Final = 64 << 10

Wanted = tuple[list[Video], list[str] | None]


async def read_body(
    request: Request, folder: RequestFolder, *, limits: Limits, allow_root: str | None
) -> Wanted:
    """The videos of a request, and the dimensions that it asks for.

    Args:
        request: its content type says which encoding.
        folder: where its videos are kept.
        limits: see `Limits`.
        allow_root: folder whose files may be named by path, or None.

    Raises:
        RequestRefused: another content type, or a body that is not what it says.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == MULTIPART:
        return await _multipart(request, folder, limits)
    if kind == TENSORS:
        return await _tensors(request, folder, limits)
    if kind == JSON:
        return await read_paths(request, folder, limits, allow_root)
    raise RequestRefused(
        415,
        "unknown_encoding",
        f"content type {kind[:80]!r}; send {MULTIPART}, {TENSORS} or {JSON}",
    )


async def store(request: Request, folder: RequestFolder, path: Path) -> None:
    """The body as a file, written by blocks as it arrives."""
    with open(path, "wb") as file:
        block = bytearray()
        async with aclosing(folder.chunks(request)) as chunks:
            async for chunk in chunks:
                block += chunk
                if len(block) >= _BLOCK:
                    await asyncio.to_thread(file.write, block)
                    block = bytearray()
        await asyncio.to_thread(file.write, block)


async def _multipart(request: Request, folder: RequestFolder, limits: Limits) -> Wanted:
    async with aclosing(folder.chunks(request)) as chunks:
        parser = MultiPartParser(
            request.headers,
            chunks,
            max_files=limits.items,
            max_fields=1,
            max_part_size=limits.json_bytes,
        )
        parser.spool_max_size = _IN_MEMORY
        try:
            form = await parser.parse()
        except MultiPartException as error:
            raise RequestRefused(422, "invalid_multipart", error.message) from None
    try:
        text = form.get(REQUEST_PART)
        if not isinstance(text, str):
            raise RequestRefused(
                422,
                "invalid_multipart",
                f"the body has no field {REQUEST_PART!r} with the request's JSON",
            )
        asked = parse(Asked[FileItem], text, most=limits.items)
        paths: dict[str, str] = {}
        for number, (name, part) in enumerate(form.multi_items()):
            if isinstance(part, UploadFile):
                if name in paths:
                    raise RequestRefused(
                        422,
                        "invalid_multipart",
                        f"two parts have the name {name[:80]!r}; make them differ",
                    )
                paths[name] = str(folder.path / f"file{number}")
                await asyncio.to_thread(_copy, part, paths[name])
    finally:
        await form.close()
    missing = [item.file for item in asked.items if item.file not in paths]
    unused = set(paths) - {item.file for item in asked.items}
    for names, problem in ((missing, "is not among the parts"), (unused, "belongs to no item")):
        for name in names:
            raise RequestRefused(
                422,
                "invalid_multipart",
                f"file {name[:80]!r} {problem}; name each part as its item's 'file'",
            )
    videos = [
        Video(str(item.id), item.prompt, {"kind": "file", "path": paths[item.file]})
        for item in asked.items
    ]
    return videos, asked.dimensions


def _copy(part: UploadFile, path: str) -> None:
    with open(path, "wb") as file:
        shutil.copyfileobj(part.file, file, _BLOCK)


async def _tensors(request: Request, folder: RequestFolder, limits: Limits) -> Wanted:
    path = folder.path / "tensors"
    start = bytearray()
    header: TensorHeader | None = None
    async with aclosing(folder.chunks(request)) as chunks:
        with open(path, "wb") as file:
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
                if header is None:
                    start += chunk
                    header = _header(bytes(start), limits)
                    start = start if header is None else bytearray()
                if header is not None and folder.bytes > header.size:
                    raise refused(f"it goes on after the {header.size} bytes that it declares")
    if header is None or folder.bytes < header.size:
        whole = "its header" if header is None else f"the {header.size} bytes that it declares"
        raise refused(f"it ends after {folder.bytes} bytes, before {whole}")
    asked = parse(Asked[TensorItem], header.request, most=limits.items)
    names = [item.tensor for item in asked.items]
    for name in sorted(set(names) ^ set(header.places)):
        raise refused(f"tensor {name[:80]!r} is not in both the body and the items")
    videos = []
    for item in asked.items:
        place = header.places[item.tensor]
        job = {"kind": "tensor", "path": str(path), "offset": place.offset, "fps": item.fps}
        videos.append(Video(str(item.id), item.prompt, {**job, "shape": list(place.shape)}))
    return videos, asked.dimensions


def _header(start: bytes, limits: Limits) -> TensorHeader | None:
    """The header, once it has arrived."""
    if len(start) < PREFIX or len(start) < header_size(start, limits):
        return None
    return parse_header(start[: header_size(start, limits)], limits)

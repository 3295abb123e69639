"""The three encodings of `POST /v1/score`.

Whatever a client sends is bounded before it costs anything: the bytes of a body, and of all of them
(`spool`), its charset and compression (`content_type`), the parts of a multipart body and what is
before each (`multipart_body`), the JSON (`sent_json`), the tensors of a safetensors header
(`tensor_header`).
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Final

from starlette.requests import Request

from aigv_reward.integrations.server.allowed_paths import read_paths
from aigv_reward.integrations.server.asked import (
    Asked,
    FileItem,
    TensorItem,
    Video,
    parse,
)
from aigv_reward.integrations.server.content_type import content_type
from aigv_reward.integrations.server.multipart_body import read_parts
from aigv_reward.integrations.server.multipart_body import refused as multipart_refused
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

_BLOCK: Final = 1 << 20

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
    kind, options = content_type(request)
    if kind == MULTIPART:
        return await _multipart(request, folder, limits, options.get(b"boundary", b""))
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


async def _multipart(
    request: Request, folder: RequestFolder, limits: Limits, boundary: bytes
) -> Wanted:
    text, paths = await read_parts(request, folder, limits, boundary)
    asked = parse(Asked[FileItem], text, most=limits.items)
    missing = [item.file for item in asked.items if item.file not in paths]
    unused = set(paths) - {item.file for item in asked.items}
    for names, problem in ((missing, "is not among the parts"), (unused, "belongs to no item")):
        for name in names:
            raise multipart_refused(
                f"file {name[:80]!r} {problem}; name each part as its item's 'file'"
            )
    videos = [
        Video(str(item.id), item.prompt, {"kind": "file", "path": paths[item.file]})
        for item in asked.items
    ]
    return videos, asked.dimensions


async def _tensors(request: Request, folder: RequestFolder, limits: Limits) -> Wanted:
    path = folder.path / "tensors"
    start, block, needed = bytearray(), bytearray(), PREFIX
    header: TensorHeader | None = None
    async with aclosing(folder.chunks(request)) as chunks:
        with open(path, "wb") as file:
            async for chunk in chunks:
                block += chunk
                if len(block) >= _BLOCK:
                    await asyncio.to_thread(file.write, block)
                    block = bytearray()
                if header is None:
                    start += chunk
                    if len(start) >= needed == PREFIX:
                        needed = header_size(bytes(start[:PREFIX]), limits)
                    if len(start) >= needed:
                        header = parse_header(bytes(start[:needed]), limits)
                if header is not None and folder.bytes > header.size:
                    raise refused(f"it goes on after the {header.size} bytes that it declares")
            await asyncio.to_thread(file.write, block)
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

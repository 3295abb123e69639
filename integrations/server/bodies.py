"""The three encodings of `POST /v1/score`."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from aigv_reward.integrations.server.asked import (
    Asked,
    FileItem,
    PathItem,
    TensorItem,
    Video,
    parse,
)
from aigv_reward.integrations.server.refusals import ItemFailed, RequestRefused
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
        return await _paths(request, folder, limits, allow_root)
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


async def _paths(
    request: Request, folder: RequestFolder, limits: Limits, allow_root: str | None
) -> Wanted:
    text = await read_json(folder.chunks(request, most=limits.json_bytes))
    asked = parse(Asked[PathItem], text, most=limits.items)
    if allow_root is None:
        raise RequestRefused(
            403,
            "paths_not_allowed",
            "this server reads no files by path; start it with --allow-root, or send the files",
        )
    videos = [Video(str(i.id), i.prompt, _path_job(i.path, allow_root)) for i in asked.items]
    return videos, asked.dimensions


async def read_json(chunks: AsyncGenerator[bytes, None]) -> bytes:
    """All chunks as one text."""
    async with aclosing(chunks):
        return b"".join([chunk async for chunk in chunks])


def _path_job(path: str, allow_root: str) -> dict[str, str] | ItemFailed:
    try:
        return {"kind": "file", "path": allowed_path(path, allow_root)}
    except ItemFailed as error:
        return error


def allowed_path(path: str, root: str) -> str:
    """The file behind a path, all links followed.

    Args:
        path: absolute, or relative to the root.
        root: folder that the file must be in, itself resolved the same way.

    Raises:
        ItemFailed: it is elsewhere, whether or not there is such a file; or no regular file.
    """
    top = os.path.realpath(root)
    try:
        real = os.path.realpath(os.path.join(top, path))
        inside = os.path.commonpath([top, real]) == top
        mode = os.stat(real).st_mode if inside else 0
    except ValueError:
        raise ItemFailed("path_not_allowed", "the path holds a null character") from None
    except OSError:
        raise ItemFailed("not_found", "there is no such file under the allowed folder") from None
    if not inside:
        raise ItemFailed("path_not_allowed", "the path leads out of the allowed folder")
    if not stat.S_ISREG(mode):
        raise ItemFailed("not_found", "the path names no regular file")
    return real

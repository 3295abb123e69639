"""Videos that are named by their path on the server: JSON bodies of `POST /v1/score`."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import aclosing

from starlette.requests import Request

from aigv_reward.integrations.server.asked import Asked, PathItem, Video, parse
from aigv_reward.integrations.server.refusals import ItemFailed, RequestRefused
from aigv_reward.integrations.server.settings import Limits
from aigv_reward.integrations.server.spool import RequestFolder


async def read_paths(
    request: Request, folder: RequestFolder, limits: Limits, allow_root: str | None
) -> tuple[list[Video], list[str] | None]:
    """The videos that a JSON body names by path, and the dimensions that it asks for.

    Raises:
        RequestRefused: not such a body, or the server reads no files by path.
    """
    async with aclosing(folder.chunks(request, most=limits.json_bytes)) as chunks:
        text = b"".join([chunk async for chunk in chunks])
    asked = parse(Asked[PathItem], text, most=limits.items)
    if allow_root is None:
        raise RequestRefused(
            403,
            "paths_not_allowed",
            "this server reads no files by path; start it with --allow-root, or send the files",
        )
    # A file system may take its time, and every folder of a path is looked at.
    found = await asyncio.to_thread(_jobs, [item.path for item in asked.items], allow_root)
    videos = [
        Video(str(item.id), item.prompt, job) for item, job in zip(asked.items, found, strict=True)
    ]
    return videos, asked.dimensions


def _jobs(paths: list[str], allow_root: str) -> list[dict[str, str] | ItemFailed]:
    return [_path_job(path, allow_root) for path in paths]


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

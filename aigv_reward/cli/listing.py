"""Finding the videos that a command is given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

from aigv_reward.cli.errors import UsageError
from aigv_reward.corpus.folders import VIDEO_SUFFIXES, videos_below


def find_videos(paths: Sequence[str]) -> list[str]:
    """The files to score, in the order of `paths`; a folder's files are sorted by path.

    Folders are searched recursively for known video suffixes. Hidden files and folders are passed
    over, and links to folders are not followed. A file named by itself is taken whatever its
    suffix, and even if it does not exist: its row will say so. A file found twice is taken once.

    Args:
        paths: files and folders, as the user wrote them.

    Raises:
        UsageError: a folder holds no video, or cannot be listed.
    """
    found: dict[str, str] = {}
    for path in paths:
        files = videos_below(path, _refuse) if os.path.isdir(path) else [path]
        if not files:
            raise UsageError(
                f"folder {path!r} holds no video file ({', '.join(sorted(VIDEO_SUFFIXES))}); name "
                "files of another suffix one by one"
            )
        for file in files:
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())


def _refuse(error: OSError) -> NoReturn:
    raise UsageError(
        f"folder {error.filename!r} cannot be listed ({error.strerror}); allow reading it, or "
        "name the files one by one"
    )

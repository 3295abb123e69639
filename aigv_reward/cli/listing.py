"""Finding the videos that a command is given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from aigv_reward.cli.errors import UsageError

VIDEO_SUFFIXES: Final = frozenset(
    ".3gp .apng .asf .avi .flv .gif .ivf .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .obu .ogv "
    ".webm .wmv".split()
)
"""What a folder is searched for. `.ts` is left out: most such files are TypeScript."""


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
        files = sorted(_in_folder(path), key=_parts) if os.path.isdir(path) else [path]
        if not files:
            raise UsageError(
                f"folder {path!r} holds no video file ({', '.join(sorted(VIDEO_SUFFIXES))}); name "
                "files of another suffix one by one"
            )
        for file in files:
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())


def _parts(path: str) -> list[str]:
    return path.split(os.sep)


def _in_folder(top: str) -> Iterator[str]:
    def refuse(error: OSError) -> NoReturn:
        raise UsageError(
            f"folder {error.filename!r} cannot be listed ({error.strerror}); allow reading it, or "
            "name the files one by one"
        )

    for folder, subfolders, files in os.walk(top, onerror=refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES:
                yield os.path.join(folder, name)

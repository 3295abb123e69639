"""The videos below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

VIDEO_SUFFIXES: Final = frozenset(
    ".3gp .apng .asf .avi .flv .gif .ivf .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .obu .ogv "
    ".webm .wmv".split()
)
"""What a folder is searched for. `.ts` is left out: most such files are TypeScript."""


def is_video(name: str) -> bool:
    """Whether a file's suffix is that of a video."""
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES


def videos_below(top: str, refuse: Callable[[OSError], object]) -> list[str]:
    """The video files of a folder and its subfolders, sorted by path.

    Hidden files and folders are passed over, and links to folders are not followed.

    Args:
        top: the folder.
        refuse: is called where a folder cannot be listed, and raises.
    """

    def walk() -> Iterator[str]:
        for folder, subfolders, files in os.walk(top, onerror=refuse):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in files:
                if not name.startswith(".") and is_video(name):
                    yield os.path.join(folder, name)

    return sorted(walk(), key=lambda path: path.split(os.sep))

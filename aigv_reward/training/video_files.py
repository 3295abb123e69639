"""Are the videos of a list there and readable, and what are their contents?"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aigv_reward.video import VideoDecodeError
from aigv_reward.video.probe import probe
from aigv_reward.video.source import resolve

SHOWN = 5
"""Files that a message names before it counts the rest."""


def inspect_videos(
    paths: Iterable[Path], *, advance: Callable[[], object] = lambda: None
) -> tuple[dict[Path, str], dict[Path, str]]:
    """Contents of the videos that can be opened, and reasons for the others.

    A file counts as readable when its packets say so: it is there, whole, and holds frames.

    Args:
        paths: the files; repeats are inspected once.
        advance: called after each file.

    Returns:
        {path: sha256 of the file}, and {path: why it cannot be read}.
    """
    digests: dict[Path, str] = {}
    failures: dict[Path, str] = {}
    unique = list(dict.fromkeys(paths))
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        for path, result in zip(unique, pool.map(_inspect, unique), strict=True):
            if isinstance(result, VideoDecodeError):
                failures[path] = result.reason
            else:
                digests[path] = result
            advance()
    finally:
        pool.shutdown(cancel_futures=True)
    return digests, failures


def _inspect(path: Path) -> str | VideoDecodeError:
    try:
        probe(resolve(path))
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except VideoDecodeError as error:
        return error
    except OSError as error:
        return VideoDecodeError(str(path), error.strerror or str(error))


def unreadable_message(failures: Mapping[Path, str], total: int) -> str:
    """What is said about videos that cannot be read: the first few, and how many."""
    named = [f"{str(path)!r} ({reason})" for path, reason in list(failures.items())[:SHOWN]]
    more = len(failures) - len(named)
    return (
        f"{len(failures)} of {total} videos cannot be read: {'; '.join(named)}"
        f"{f'; and {more} more' if more else ''}"
    )

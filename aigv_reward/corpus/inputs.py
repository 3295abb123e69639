"""The videos of a corpus from whatever names them, in an order that does not change."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from aigv_reward.corpus.folders import VIDEO_SUFFIXES, videos_below
from aigv_reward.corpus.item import Item, stamp_of
from aigv_reward.corpus.lists import (
    LISTS,
    PATHS,
    dataset_items,
    has_video_column,
    is_saved_dataset,
    list_items,
    saved_dataset_items,
)
from aigv_reward.corpus.tars import is_tar, tar_items


@dataclass(frozen=True)
class Corpus:
    """The videos to score, in order.

    Attributes:
        items: every video once for each time it is named.
        dataset: the `datasets.Dataset` in memory that items of kind "dataset" are rows of.
        column: its column of videos.
    """

    items: tuple[Item, ...]
    dataset: Any = None
    column: str = ""


def find_corpus(inputs: Any, *, root: str | os.PathLike[str] | None = None) -> Corpus:
    """The corpus that an input names.

    Args:
        inputs: one or several of: a folder (searched for videos by suffix; or one that datasets'
            `save_to_disk` wrote), a list (.csv, .jsonl, .parquet with a column `path` or `video`,
            `prompt` and any others), a webdataset .tar, a video file, a glob of any of these. Or
            one `datasets.Dataset`. A file that a glob and a list that it matches both name is the
            row of the list, and the glob passes over lists without a column of videos.
        root: what relative paths of lists start from; default each list's own folder.

    Raises:
        ValueError: an input that does not exist, holds no video, or is malformed.
    """
    if hasattr(inputs, "column_names") and hasattr(inputs, "features"):
        items, dataset, column = dataset_items(inputs, root)
        return Corpus(tuple(items), dataset, column)
    if isinstance(inputs, str | os.PathLike):
        inputs = [inputs]
    if not isinstance(inputs, Sequence) or not inputs:
        raise ValueError(
            f"the input is {inputs!r}; give a folder, glob, list, tar or video file, several of "
            "them, or a datasets.Dataset"
        )
    items = [item for one in inputs for item in _items(os.fspath(one), root)]
    return Corpus(tuple(items))


def _items(name: str, root: str | os.PathLike[str] | None) -> Iterator[Item]:
    if os.path.isdir(name):
        if is_saved_dataset(Path(name)):
            yield from saved_dataset_items(Path(name), root)
            return
        files = videos_below(name, _refuse)
        if not files:
            raise ValueError(
                f"folder {name!r} holds no video file ({', '.join(sorted(VIDEO_SUFFIXES))}); name "
                "files of another suffix by a glob or a list"
            )
        for path in files:
            yield _file(os.path.relpath(path, name), path)
    elif glob.has_magic(name) and not os.path.lexists(name):
        yield from _glob_items(name, root)
    elif not os.path.lexists(name):
        raise ValueError(f"input {name!r} does not exist; give a folder, glob, list or tar")
    elif is_tar(name):
        yield from tar_items(name)
    elif _is_list(name):
        yield from list_items(Path(name), root)
    else:
        yield _file(name, name)


def _is_list(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in LISTS


def _glob_items(pattern: str, root: str | os.PathLike[str] | None) -> Iterator[Item]:
    """The videos of all that a glob matches; those that its lists name come from there alone."""
    found = _matches(pattern)
    used = [path for path in found if not _is_list(path) or has_video_column(Path(path))]
    if found and not used:
        raise ValueError(
            f"glob {pattern!r} matches only lists without a column of videos; name one "
            f"{' or '.join(PATHS)}"
        )
    if not found and glob.glob(pattern, recursive=True):
        raise ValueError(
            f"glob {pattern!r} matches only folders that hold no video file "
            f"({', '.join(sorted(VIDEO_SUFFIXES))}); name files of another suffix by a glob or a "
            "list"
        )
    if not found:
        raise ValueError(f"glob {pattern!r} matches no file; quote it, and check it with ls")
    items = [(path, item) for path in used for item in _items(path, root)]
    plain = {path for path in used if _is_plain(path)}
    listed = {item.path for path, item in items if item.kind == "file" and path not in plain}
    yield from (item for path, item in items if path not in plain or item.path not in listed)


def _is_plain(path: str) -> bool:
    """Whether a path stands for a video file, and for no list, tar or data set."""
    return not (os.path.isdir(path) or is_tar(path) or _is_list(path))


def _matches(pattern: str) -> list[str]:
    """What a glob matches: files, saved data sets, and the videos below its other folders.

    A video that is matched, and lies below a folder that is matched too, is there once.
    """
    found: dict[str, str] = {}
    folders = []
    for path in glob.glob(pattern, recursive=True):
        if os.path.isdir(path) and not is_saved_dataset(Path(path)):
            folders.append(path)
        else:
            found[os.path.normpath(path)] = path
    for folder in folders:
        for path in videos_below(folder, _refuse):
            found.setdefault(os.path.normpath(path), path)
    return sorted(found.values())


def _file(key: str, path: str) -> Item:
    place = os.fsencode(os.path.abspath(path))
    return Item(os.fsencode(key), "file", place, stamp=stamp_of(place))


def _refuse(error: OSError) -> NoReturn:
    raise ValueError(
        f"folder {error.filename!r} cannot be listed ({error.strerror}); allow reading it"
    )

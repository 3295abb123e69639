"""Getting at the bytes of an item, in whichever process scores it."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from aigv_reward.corpus.item import Item, stamp_of, surrogate_in
from aigv_reward.corpus.lists import is_saved_dataset, undecoded


class InputChangedError(ValueError):
    """A file is no longer what it was when the plan was made."""


def open_item(item: Item, data: bytes | None = None) -> str | bytes:
    """What `read_frames` takes: a path, or the bytes of a video that is no file of its own.

    Args:
        item: the video.
        data: the bytes of one whose kind is "dataset".

    Raises:
        InputChangedError: its file was changed since the plan was made.
        ValueError: a row without bytes, or a prompt that is no Unicode.
        OSError: the file cannot be read.
    """
    if item.prompt is not None and (half := surrogate_in(item.prompt)) is not None:
        raise ValueError(
            f"its prompt holds {half[0]!a}, half of a character, at place {half.start()}; "
            "repair the prompt in the input and score it in a new run"
        )
    if item.kind == "dataset":
        if data is None:
            raise ValueError("the row holds neither bytes nor the path of a file")
        return data
    if stamp_of(item.path) != item.stamp:
        raise InputChangedError(
            "the file was changed, removed or created after the plan was made; score it in a new "
            "run"
        )
    if item.kind == "file":
        return os.fsdecode(item.path)
    if item.kind == "tar":
        with open(item.path, "rb") as file:
            file.seek(item.offset)
            return file.read(item.size)
    value = _row(os.fsdecode(item.path), item.stamp, item.offset) or {}
    content = value.get("bytes")
    if content is None:
        raise ValueError(f"the row holds no bytes, and its file {value.get('path')!r} is not there")
    return bytes(content)


def content_sha256(source: str | bytes) -> str:
    """Of the bytes of a video.

    Raises:
        OSError: the file cannot be read, or is no file.
    """
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _row(path: str, stamp: Any, number: int) -> Any:
    if is_saved_dataset(Path(path)):
        dataset, column = _saved(path, stamp)
        return dataset[number][column]
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number < rows:
                return _group(path, stamp, group)[number].as_py()
            number -= rows
    raise ValueError(f"the list has no row {number}")


@lru_cache(maxsize=1)
def _saved(path: str, stamp: Any) -> Any:
    from datasets import load_from_disk

    return undecoded(load_from_disk(path))


@lru_cache(maxsize=1)
def _group(path: str, stamp: Any, group: int) -> Any:
    """The column of videos of a row group; neighbours are asked for one after another."""
    import pyarrow.parquet as pq

    from aigv_reward.corpus.lists import video_column

    with pq.ParquetFile(path) as file:
        name = video_column(file.schema_arrow.names, path)
        return file.read_row_group(group, columns=[name]).column(0)

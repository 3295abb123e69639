"""Videos that a list or a data set names, one a row, with its other columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aigv_reward.corpus.item import Item, Kind, extra_json, stamp_of
from aigv_reward.corpus.parquet_list import parquet_columns, parquet_rows

LISTS: Final = (".csv", ".jsonl", ".parquet")
PATHS: Final = ("path", "video", "file_name", "filename")

Root = str | os.PathLike[str] | None


def list_items(path: Path, root: Root) -> Iterator[Item]:
    """The videos of a .csv, .jsonl or .parquet list.

    Raises:
        ValueError: a list that cannot be read, a malformed row, no column of videos, or no rows.
    """
    from aigv_reward.training.list_rows import read_rows  # torch comes with it

    folder = Path(root) if root is not None else path.parent
    if path.suffix.lower() == ".parquet":
        rows = parquet_rows(path, PATHS, lambda name: _is_there(name, folder))
    else:
        rows = ((row.place, row.cells) for row in read_rows(path))
    yield from _row_items(rows, path, folder)


def has_video_column(path: Path) -> bool:
    """Whether a .csv, .jsonl or .parquet list has a column of videos, or cannot be read to tell."""
    from aigv_reward.training.list_rows import read_rows

    try:
        if path.suffix.lower() == ".parquet":
            return not set(PATHS).isdisjoint(parquet_columns(path))
        if path.suffix.lower() == ".csv":  # the header alone: what is below it may be malformed
            with open(path, encoding="utf-8-sig", newline="") as file:
                header = next(filter(None, csv.reader(file)), [])
                return not set(PATHS).isdisjoint(header)
        return any(not set(PATHS).isdisjoint(row.cells) for row in read_rows(path))
    except (OSError, ValueError, csv.Error):
        return True


def is_saved_dataset(path: Path) -> bool:
    """Whether datasets' `save_to_disk` wrote a folder."""
    return (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists()


def saved_dataset_items(path: Path, root: Root) -> Iterator[Item]:
    """The videos of a folder that `save_to_disk` wrote.

    Raises:
        ValueError: it cannot be read, several splits, or no column of videos.
    """
    from aigv_reward.training.list_rows import read_rows

    rows = ((row.place, row.cells) for row in read_rows(path))
    yield from _row_items(rows, path, Path(root) if root is not None else Path())


def dataset_items(dataset: Any, root: Root) -> tuple[list[Item], Any, str]:
    """The videos of a `datasets.Dataset`, the data set without decoding, and its column of videos.

    Raises:
        ValueError: no column of videos, or no rows.
    """
    dataset, column = undecoded(dataset)
    fingerprint = Path(f"dataset-{dataset._fingerprint}")
    rows = ((f"dataset row {number}", cells) for number, cells in enumerate(dataset))
    items = list(_row_items(rows, fingerprint, Path(root or ""), kind="dataset"))
    return items, dataset, column


def undecoded(dataset: Any) -> tuple[Any, str]:
    """A data set whose videos come as {"bytes", "path"}, and the column that holds them."""
    from datasets import Video  # whoever made a Dataset has it

    for name, feature in dataset.features.items():
        if isinstance(feature, Video):
            dataset = dataset.cast_column(name, Video(decode=False))
    return dataset, video_column(dataset.column_names, "dataset")


def video_column(columns: Iterable[str], place: str) -> str:
    """The one of a list's columns that holds the videos.

    Raises:
        ValueError: none does.
    """
    names = list(columns)
    for name in PATHS:
        if name in names:
            return name
    raise ValueError(
        f"{place}: no column of videos among {', '.join(names)}; name one {' or '.join(PATHS)}"
    )


def _row_items(
    rows: Iterable[tuple[str, Mapping[str, Any]]],
    source: Path,
    folder: Path,
    kind: Kind = "parquet",
) -> Iterator[Item]:
    label = os.fspath(source)
    place = os.fsencode(os.path.abspath(source)) if kind == "parquet" else b""
    stamp = stamp_of(place) if place else None
    number = -1
    for number, (where, row) in enumerate(_readable(rows, label)):
        cells = dict(row)
        value = cells.pop(video_column(cells, where))
        prompt = cells.pop("prompt", None)
        if not isinstance(prompt, str | None):
            raise ValueError(f"{where}: prompt is {prompt!r}; give text, or leave it empty")
        text, extra = (prompt or "").strip() or None, extra_json(cells)
        embedded = isinstance(value, Mapping)
        name = value.get("path") if isinstance(value, Mapping) else value
        if isinstance(name, str) and name and (not embedded or _is_file(value, folder)):
            file = _raw(os.path.abspath(folder / name), where)
            yield Item(_raw(name, where), "file", file, 0, 0, text, extra, stamp_of(file))
        elif embedded:
            key = _raw(f"{os.path.basename(label)}/{number}/{name or ''}", where)
            yield Item(key, kind, place, number, 0, text, extra, stamp)
        else:
            raise ValueError(f"{where}: the video is {value!r}; give the path of a file")
    if number < 0:
        raise ValueError(f"list {label!r} has no rows; give at least one")


def _is_file(value: Mapping[str, Any], folder: Path) -> bool:
    """Whether a row of a data set names a file instead of holding the bytes."""
    return value.get("bytes") is None and _is_there(value.get("path"), folder)


def _is_there(name: Any, folder: Path) -> bool:
    """Whether what a row gives as the path of its video is that of a file."""
    return isinstance(name, str) and bool(name) and os.path.exists(folder / name)


def _readable(
    rows: Iterable[tuple[str, Mapping[str, Any]]], label: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        yield from rows
    except OSError as error:
        raise ValueError(
            f"list {label!r} cannot be read ({error.strerror or error}); allow reading it, or name "
            "another"
        ) from error


def _raw(name: str, where: str) -> bytes:
    try:
        return os.fsencode(name)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where}: the video is {name!r}, which holds half of a character and names no file; "
            "give the path of a file"
        ) from error

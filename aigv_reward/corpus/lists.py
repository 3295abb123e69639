"""Videos that a list or a data set names, one a row, with its other columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from aigv_reward.corpus.item import Item, Kind, extra_json, stamp_of

LISTS: Final = (".csv", ".jsonl", ".parquet")
PATHS: Final = ("path", "video", "file_name", "filename")
ARROW_NEEDED: Final = 'needs {0}, which is not installed: pip install "aigv-reward[corpus]"'

Root = str | os.PathLike[str] | None


def list_items(path: Path, root: Root) -> Iterator[Item]:
    """The videos of a .csv, .jsonl or .parquet list.

    Raises:
        ValueError: a malformed row, no column of videos, or no rows.
    """
    from aigv_reward.training.list_rows import read_rows  # torch comes with it

    if path.suffix.lower() == ".parquet":
        rows = _parquet_rows(path)
    else:
        rows = ((row.place, row.cells) for row in read_rows(path))
    yield from _row_items(rows, path, Path(root) if root is not None else path.parent)


def is_saved_dataset(path: Path) -> bool:
    """Whether datasets' `save_to_disk` wrote a folder."""
    return (path / "dataset_info.json").exists() or (path / "dataset_dict.json").exists()


def saved_dataset_items(path: Path, root: Root) -> Iterator[Item]:
    """The videos of a folder that `save_to_disk` wrote.

    Raises:
        ValueError: several splits, or no column of videos.
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


def _parquet_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows without the bytes of embedded videos, which may be larger than memory."""
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"list {str(path)!r} {ARROW_NEEDED.format('pyarrow')}", name="pyarrow"
        ) from error
    try:
        with pq.ParquetFile(path) as file:
            leaves = [file.schema.column(i).path for i in range(len(file.schema))]
            kept = [leaf for leaf in leaves if not leaf.endswith(".bytes")]
            number = 0
            for batch in file.iter_batches(columns=kept):
                for cells in batch.to_pylist():
                    yield f"{str(path)!r} row {number}", cells
                    number += 1
    except (OSError, ValueError) as error:
        raise ValueError(f"list {str(path)!r} is no parquet file ({error})") from error


def video_column(columns: Iterable[str], place: str) -> str:
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
    for number, (where, row) in enumerate(rows):
        cells = dict(row)
        value = cells.pop(video_column(cells, where))
        prompt = cells.pop("prompt", None)
        if not isinstance(prompt, str | None):
            raise ValueError(f"{where}: prompt is {prompt!r}; give text, or leave it empty")
        text, extra = (prompt or "").strip() or None, extra_json(cells)
        embedded = isinstance(value, Mapping)
        name = value.get("path") if isinstance(value, Mapping) else value
        if isinstance(name, str) and name and (not embedded or _is_file(value, folder / name)):
            file = os.fsencode(os.path.abspath(folder / name))
            yield Item(os.fsencode(name), "file", file, 0, 0, text, extra, stamp_of(file))
        elif embedded:
            key = os.fsencode(f"{os.path.basename(label)}/{number}/{name or ''}")
            yield Item(key, kind, place, number, 0, text, extra, stamp)
        else:
            raise ValueError(f"{where}: the video is {value!r}; give the path of a file")
    if number < 0:
        raise ValueError(f"list {label!r} has no rows; give at least one")


def _is_file(value: Mapping[str, Any], path: Path) -> bool:
    """Whether a row of a data set names a file instead of holding the bytes."""
    return value.get("bytes") is None and path.exists()

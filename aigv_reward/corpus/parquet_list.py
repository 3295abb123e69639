"""The rows of a Parquet list without the videos that it holds, which may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

HELD: Final = b""
"""Stands in a row for the bytes of its video."""
LOOKED_AT: Final = 16
"""Rows whose bytes are decoded at once; what the file stores of a row group is read as a whole."""


def parquet_rows(
    path: Path, columns: Sequence[str], is_there: Callable[[Any], bool]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each row with where it stands; bytes of videos are `HELD`, and other bytes are left out.

    Rows whose file is not there have `HELD` as well where only their bytes would say whether they
    have any: pyarrow reads those of a whole row group.

    Args:
        path: of the list.
        columns: names that the column of videos may have, the first that is there.
        is_there: whether the `path` of a row's video, which may be null, is that of a file.

    Raises:
        ValueError: no Parquet file.
        OSError: it cannot be read.
        ModuleNotFoundError: pyarrow is not installed.
    """
    place = repr(str(path))
    with _opened(path) as file:
        leaves = [file.schema.column(i).path for i in range(len(file.schema))]
        kept = [leaf for leaf in leaves if not leaf.endswith(".bytes")]
        names = file.schema_arrow.names
        video = next((name for name in columns if name in names), "")
        number = 0
        for group in range(file.num_row_groups):
            held = iter(_held(file, group, leaves, video, is_there))
            for batch in file.iter_batches(row_groups=[group], columns=kept):
                for cells in batch.to_pylist():
                    if next(held) and cells.get(video, {}) is not None:
                        cells[video] = {**cells.get(video, {}), "bytes": HELD}
                    yield f"{place} row {number}", cells
                    number += 1


def parquet_columns(path: Path) -> list[str]:
    """The columns of a Parquet list.

    Raises:
        ValueError, OSError, ModuleNotFoundError: see `parquet_rows`.
    """
    with _opened(path) as file:
        return list(file.schema_arrow.names)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"list {str(path)!r} needs pyarrow, which is not installed: "
            'pip install "aigv-reward[corpus]"',
            name="pyarrow",
        ) from error
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"list {str(path)!r} is no parquet file ({error})") from error


def _held(
    file: Any, group: int, leaves: Sequence[str], video: str, is_there: Callable[[Any], bool]
) -> list[bool]:
    """For each row of a group, whether it holds the bytes of its video."""
    rows, leaf = file.metadata.row_group(group), f"{video}.bytes"
    nulls = rows.num_rows
    if leaf in leaves and file.schema_arrow.field(video).type.num_fields:
        known = rows.column(leaves.index(leaf)).statistics
        nulls = known.null_count if known is not None and known.has_null_count else None
    if nulls in (0, rows.num_rows):
        return [nulls == 0] * rows.num_rows
    paths = f"{video}.path"
    if paths not in leaves or not any(map(is_there, _cells(file, group, paths))):
        return [True] * rows.num_rows
    return list(_cells(file, group, leaf))


def _cells(file: Any, group: int, leaf: str) -> Iterator[Any]:
    """A leaf of the column of videos for each row; of its bytes, whether there are any."""
    name = leaf.rpartition(".")[2]
    size = {"batch_size": LOOKED_AT} if name == "bytes" else {}
    for batch in file.iter_batches(row_groups=[group], columns=[leaf], **size):
        (videos,) = batch.columns
        cells = videos.field(name)
        yield from (cells.is_valid() if name == "bytes" else cells).to_pylist()

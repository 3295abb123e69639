"""The rows of a Parquet list without the videos that it holds, which may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

HELD: Final = b""
"""Stands in a row for the bytes of its video."""
LOOKED_AT: Final = 16
"""Rows whose bytes are in memory at once, where the file does not say which rows have any."""


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each row with where it stands; bytes of videos are `HELD`, and other bytes are left out.

    Args:
        path: of the list.
        columns: names that the column of videos may have, the first that is there.

    Raises:
        ValueError: no Parquet file.
        OSError: it cannot be read.
        ModuleNotFoundError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"list {str(path)!r} needs pyarrow, which is not installed: "
            'pip install "aigv-reward[corpus]"',
            name="pyarrow",
        ) from error
    place = repr(str(path))
    try:
        with pq.ParquetFile(path) as file:
            leaves = [file.schema.column(i).path for i in range(len(file.schema))]
            kept = [leaf for leaf in leaves if not leaf.endswith(".bytes")]
            names = file.schema_arrow.names
            video = next((name for name in columns if name in names), "")
            number = 0
            for group in range(file.num_row_groups):
                held = _held(file, group, leaves, video)
                for batch in file.iter_batches(row_groups=[group], columns=kept):
                    for cells in batch.to_pylist():
                        if next(held):
                            cells[video] = {**(cells.get(video) or {}), "bytes": HELD}
                        yield f"{place} row {number}", cells
                        number += 1
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"list {place} is no parquet file ({error})") from error


def _held(file: Any, group: int, leaves: Sequence[str], video: str) -> Iterator[bool]:
    """For each row of a group, whether it holds the bytes of its video."""
    rows, leaf = file.metadata.row_group(group), f"{video}.bytes"
    nulls = rows.num_rows
    if leaf in leaves and file.schema_arrow.field(video).type.num_fields:
        known = rows.column(leaves.index(leaf)).statistics
        nulls = known.null_count if known is not None and known.has_null_count else None
    if nulls in (0, rows.num_rows):
        yield from [nulls == 0] * rows.num_rows
        return
    for batch in file.iter_batches(LOOKED_AT, row_groups=[group], columns=[leaf]):
        (videos,) = batch.columns
        yield from videos.field("bytes").is_valid().to_pylist()

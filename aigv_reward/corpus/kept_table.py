"""What is kept of a run as a table, whatever the columns of its lists hold."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from aigv_reward.corpus.records import OURS, names_in_sets
from aigv_reward.corpus.rows import SCHEMA, pa, pq

LARGEST: Final = 2**64


def kept_table(
    records: Sequence[Mapping[str, Any]], paths: Sequence[bytes], columns: Collection[str]
) -> Any:
    """The records and the raw bytes of their paths.

    Args:
        records: as `records_of` has them.
        paths: of each.
        columns: of the lists; there even where no record has them.
    """
    made = {
        name: pa.array([record[name] for record in records], SCHEMA.field(name).type)
        for name in OURS
    }
    for name in names_in_sets(columns).values():
        made[name] = _array([record.get(name) for record in records])
    return pa.table({**made, "path_bytes": pa.array(paths, pa.binary())})


def _array(values: Sequence[Any]) -> Any:
    """A column of JSON values; as JSON text where Parquet has no type that holds them all."""
    whole = [value for value in values if value is not None]
    if all(type(value) is int and 0 <= value < LARGEST for value in whole) and any(
        value >= LARGEST // 2 for value in whole
    ):
        return pa.array(values, pa.uint64())
    try:
        array = pa.array(values)
        pq.ParquetWriter(io.BytesIO(), pa.schema([("column", array.type)])).close()
    except (pa.ArrowException, OverflowError):
        return pa.array([None if value is None else json.dumps(value) for value in values])
    return array

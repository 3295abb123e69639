"""The rows of a run: their columns, and one Parquet file of them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from aigv_reward.corpus.item import Item
from aigv_reward.dimensions import DIMENSIONS

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'runs are kept in Parquet files; install pyarrow: pip install "aigv-reward[corpus]"',
        name=error.name,
    ) from error

Status = Literal["ok", "error", "timeout", "crash"]
STATUSES: Final[tuple[Status, ...]] = ("ok", "error", "timeout", "crash")

Measured: TypeAlias = dict[str, Any]
"""What scoring an item gave: the columns from `status` on."""

SCORES: Final = (*DIMENSIONS, *(f"{name}_z" for name in DIMENSIONS))

SCHEMA: Final = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("ordinal", pa.int64(), nullable=False),
        ("key", pa.string()),
        ("path", pa.string()),
        ("path_bytes", pa.binary()),
        ("prompt", pa.string()),
        ("extra", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        ("error_type", pa.string()),
        ("error", pa.string()),
        ("content_sha256", pa.string()),
        *((name, pa.float64()) for name in SCORES),
        ("frames_declared", pa.int64()),
        ("frames_decoded", pa.int64()),
        ("fps", pa.float64()),
        ("height", pa.int64()),
        ("width", pa.int64()),
        ("duration", pa.float64()),
        ("checkpoint", pa.string()),
    ]
)


def text_of(raw: bytes) -> str:
    """A name as Unicode; bytes that are not UTF-8 become stand-ins."""
    return raw.decode("utf-8", "replace")


def unicode_of(text: str) -> str:
    """A text as Unicode, with stand-ins for bytes of a path that are no UTF-8 and half characters.

    Python has both as surrogates.
    """
    whole = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
    return text_of(whole.encode("utf-8", "surrogateescape"))


def table_of(
    items: Sequence[tuple[int, Item]], measured: Mapping[int, Measured], checkpoint: str
) -> pa.Table:
    """The rows of items in order.

    Args:
        items: with their ordinals.
        measured: {ordinal: what scoring gave}, of each of them.
        checkpoint: sha256 of what scored them.
    """
    rows = []
    for ordinal, item in items:
        path = item.path or item.key
        rows.append(
            {
                "row_id": item.row_id(ordinal),
                "ordinal": ordinal,
                "key": text_of(item.key),
                "path": text_of(path),
                "path_bytes": path,
                "prompt": None if item.prompt is None else unicode_of(item.prompt),
                "extra": item.extra,
                "checkpoint": checkpoint,
                **measured[ordinal],
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def parquet_bytes(table: pa.Table, plan: str) -> bytes:
    """The table as a Parquet file, the same bytes for the same rows.

    Args:
        table: the rows.
        plan: digest of the plan that they belong to, kept in the file.
    """
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"aigv_reward.plan": plan}), buffer)
    return buffer.getvalue()


def failure(status: Status, kind: str, reason: str) -> Measured:
    """What is known of an item that has no scores."""
    text = unicode_of(" ".join(reason.split()))
    return {"status": status, "error_type": kind, "error": text}


def extra_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that a row's list had besides the video and the prompt, as Unicode."""
    values: dict[str, Any] = json.loads(row["extra"])
    return _unicode_values(values) if "\\ud" in row["extra"] else values


def _unicode_values(value: Any) -> Any:
    if isinstance(value, str):
        return unicode_of(value)
    if isinstance(value, dict):
        return {unicode_of(name): _unicode_values(one) for name, one in value.items()}
    return [_unicode_values(one) for one in value] if isinstance(value, list) else value

"""Rows of a run for people's own programs, with the columns of their lists beside ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from aigv_reward.corpus.rows import SCORES, extra_of

OURS: Final = (
    *("path", "key", "prompt", *SCORES),
    *("row_id", "ordinal", "content_sha256", "fps", "height", "width", "duration"),
)
RESERVED: Final = (*OURS, "path_bytes", "file_name")
"""What no column of a list may be called in a set."""


def list_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns that the lists of rows have, in the order that they come."""
    return list(dict.fromkeys(name for row in rows for name in extra_of(row)))


def names_in_sets(columns: Collection[str]) -> dict[str, str]:
    """{column of a list: what a set calls it}.

    One that is called like one of ours gets `input_` before it, as often as it takes to be called
    like no other: nothing is overwritten, and no two columns have one name.
    """
    taken = {*RESERVED, *columns}
    names = {}
    for name in columns:
        names[name] = name
        while name in RESERVED and names[name] in taken:
            names[name] = f"input_{names[name]}"
        taken.add(names[name])
    return names


def records_of(rows: Sequence[Mapping[str, Any]], columns: Collection[str]) -> list[dict[str, Any]]:
    """Each row as `OURS` and the columns of its list, by their names in sets.

    Args:
        rows: of a run.
        columns: all that their lists have.
    """
    names = names_in_sets(columns)
    return [
        {name: row[name] for name in OURS}
        | {names[name]: value for name, value in extra_of(row).items()}
        for row in rows
    ]

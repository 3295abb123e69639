"""The rows of a list of prompts or preferences, each with its place for messages."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

SUFFIXES: Final = ".txt, .csv or .jsonl"


def read_list(path: str | os.PathLike[str], *, text: bool) -> list[tuple[str, dict[str, Any]]]:
    """(place, row) of every row of a file, in order.

    Args:
        path: .csv, .jsonl, or .txt with a prompt a line.
        text: whether .txt is accepted.

    Raises:
        ValueError: no such file, another suffix, not UTF-8, no rows, or a row that is empty or
            malformed, with its line.
    """
    path = Path(path)
    name = repr(str(path))
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, **({".txt": _text_rows} if text else {})}
    if path.suffix.lower() not in readers:
        known = SUFFIXES if text else ".csv or .jsonl"
        raise ValueError(f"list {name} has an unknown suffix; it must be {known}")
    if not path.is_file():
        raise ValueError(f"list {name} does not exist; give the path of a file")
    try:
        rows = list(readers[path.suffix.lower()](path, name))
    except UnicodeDecodeError as error:
        raise ValueError(f"list {name} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    if not rows:
        raise ValueError(f"list {name} has no rows; give at least one")
    return rows


def check_columns(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Raises ValueError where a row has other columns than the first: batches need them alike."""
    first = set(rows[0][1])
    for place, row in rows:
        if other := first ^ set(row):
            raise ValueError(
                f"{place}: {', '.join(sorted(other))} stands in some rows only; give every row the "
                "same columns"
            )


def check_prompt(place: str, row: Mapping[str, Any]) -> None:
    """Raises ValueError where a row has no prompt."""
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        columns = ", ".join(row)
        raise ValueError(
            f"{place}: the prompt is {prompt!r}; every row needs text in the column prompt (there "
            f"are {columns})"
        )


def _text_rows(path: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                raise ValueError(f"{name} line {number} is empty; remove it")
            yield f"{name} line {number}", {"prompt": line.strip()}


def _csv_rows(path: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        columns: list[str] | None = None
        line = 1
        try:
            for cells in reader:
                place = f"{name} line {line}"
                line = reader.line_num + 1
                if not any(cell.strip() for cell in cells):
                    raise ValueError(f"{place} is empty; remove it")
                if columns is None:
                    columns = cells
                    if len(set(columns)) != len(columns):
                        raise ValueError(f"{place} names a column twice: {', '.join(columns)}")
                    continue
                if len(cells) != len(columns):
                    raise ValueError(
                        f"{place} has {len(cells)} cells and the header {len(columns)}; put text "
                        "that holds a comma in double quotes"
                    )
                yield place, dict(zip(columns, cells, strict=True))
        except csv.Error as error:
            raise ValueError(
                f"{name} line {line}: {error}; put text with commas, quotes or line breaks in "
                "double quotes, and double the quotes inside it"
            ) from error


def _json_rows(path: Path, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with open(path, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            place = f"{name} line {number}"
            if not line.strip():
                raise ValueError(f"{place} is empty; remove it")
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{place} is no JSON ({error.msg} at column {error.colno}); write one object a "
                    "line"
                ) from error
            if not isinstance(row, dict):
                raise ValueError(f"{place} is a JSON {type(row).__name__}; write an object")
            yield place, row

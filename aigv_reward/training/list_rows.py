"""The rows of a list of opinions, from whichever file holds it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FORMATS: Final = ".txt, .csv, .jsonl, .parquet, or a folder that datasets' save_to_disk wrote"


@dataclass(frozen=True)
class Row:
    """One row of a list.

    Attributes:
        place: where it stands, for messages, such as "'mos.csv' line 3".
        cells: {column: value}.
        columns: all columns that the row has, where `cells` holds some of them.
    """

    place: str
    cells: Mapping[str, Any]
    columns: tuple[str, ...] = ()


def read_rows(source: Any, *, header: tuple[str, ...] = ()) -> Iterator[Row]:
    """The rows of a list, in order.

    Args:
        source: a path (.txt, .csv, .jsonl, .parquet, or a folder of datasets' `save_to_disk`), or
            a `datasets.Dataset`.
        header: names of which one begins the first line of a .txt that has a header.

    Raises:
        ValueError: no such file, another format, or a row that is malformed, with its line.
        ModuleNotFoundError: the list needs `datasets`, which is not installed.
    """
    if hasattr(source, "column_names") and hasattr(source, "features"):
        yield from _dataset_rows(source, "dataset")
        return
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            f"a list of opinions is a {type(source).__name__}; give a path or a datasets.Dataset"
        )
    path = Path(source)
    name = repr(str(path))
    if not path.exists():
        raise ValueError(f"list {name} does not exist; give a path to {FORMATS}")
    suffix = path.suffix.lower()
    try:
        if path.is_dir() or suffix == ".parquet":
            yield from _dataset_rows(_load_dataset(path), name)
        elif suffix == ".txt":
            yield from _text_rows(path, name, header)
        elif suffix == ".csv":
            yield from _csv_rows(path, name)
        elif suffix == ".jsonl":
            yield from _json_rows(path, name)
        else:
            raise ValueError(f"list {name} has an unknown suffix; it must be {FORMATS}")
    except UnicodeDecodeError as error:
        raise ValueError(f"list {name} is not UTF-8 ({error.reason}); save it as UTF-8") from error


def _text_rows(path: Path, name: str, header: tuple[str, ...]) -> Iterator[Row]:
    """`filename|prompt|mos`; the prompt is all between the first bar and the scores' bars."""
    columns = ["path", "prompt", "mos"]
    with open(path, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            line = line.strip("\r\n")
            if not line.strip():
                continue
            place = f"{name} line {number}"
            if number == 1 and line.split("|")[0].strip().casefold() in header:
                columns = [cell.strip() for cell in line.split("|")]
                if len(columns) < 3 or columns[1].casefold() != "prompt":
                    raise ValueError(
                        f"{place}: the header is {line!r}; it must be filename|prompt| and then "
                        "one or more scores"
                    )
                continue
            first, bar, rest = line.partition("|")
            last = rest.rsplit("|", len(columns) - 2)
            if not bar or len(last) != len(columns) - 1:
                raise ValueError(
                    f"{place}: {line!r} is not {'|'.join(columns)}; write a prompt with line "
                    "breaks in a .csv or .jsonl list"
                )
            cells = zip(columns, (cell.strip() for cell in (first, *last)), strict=True)
            yield Row(place, dict(cells))


def _csv_rows(path: Path, name: str) -> Iterator[Row]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True, restkey="")
        if not reader.fieldnames:
            raise ValueError(f"list {name} is empty; its first line must name the columns")
        if twice := {n for n in reader.fieldnames if reader.fieldnames.count(n) > 1}:
            raise ValueError(f"list {name} names the columns {sorted(twice)} twice; rename one")
        line = reader.line_num + 1
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise ValueError(
                    f"{name} line {line}: {error}; put text with commas, quotes or line breaks in "
                    "double quotes, and double the quotes inside it"
                ) from error
            if "" in cells or None in cells.values():
                raise ValueError(
                    f"{name} line {line}: the row has not as many cells as the header's "
                    f"{len(reader.fieldnames)}; put text that holds a comma in double quotes"
                )
            yield Row(f"{name} line {line}", cells)
            line = reader.line_num + 1


def _json_rows(path: Path, name: str) -> Iterator[Row]:
    with open(path, encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{name} line {number}"
            try:
                cells = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(
                    f"{place} is no JSON ({error.msg} at column {error.colno}); write one object "
                    "a line"
                ) from error
            if not isinstance(cells, dict):
                raise ValueError(f"{place} is a JSON {type(cells).__name__}; write an object")
            yield Row(place, cells)


def _load_dataset(path: Path) -> Any:
    try:
        from datasets import Dataset, DatasetDict, load_from_disk
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'list {str(path)!r} needs datasets: pip install "aigv-reward[train]"', name=error.name
        ) from error
    if path.is_dir():
        try:
            dataset = load_from_disk(str(path))
        except FileNotFoundError as error:
            raise ValueError(f"folder {str(path)!r} holds no data set; give {FORMATS}") from error
        if isinstance(dataset, DatasetDict):
            inside = ", ".join(str(path / split) for split in dataset)
            raise ValueError(f"folder {str(path)!r} holds several splits; give one of {inside}")
        return dataset
    return Dataset.from_parquet(str(path), keep_in_memory=True)


def _dataset_rows(dataset: Any, name: str) -> Iterator[Row]:
    from datasets import Video  # whoever made a Dataset has it

    for column, feature in dataset.features.items():
        if isinstance(feature, Video):  # paths, not decoded frames
            dataset = dataset.cast_column(column, Video(decode=False))
    for number, cells in enumerate(dataset):
        yield Row(f"{name} row {number}", cells)

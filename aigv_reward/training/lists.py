"""Lists of opinions as people keep them: mean opinion scores of videos, choices between two."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from aigv_reward.dimensions import DIMENSIONS, MOS_RANGE, Dimension
from aigv_reward.training.list_rows import Row, read_rows
from aigv_reward.training.opinions import Choice, Opinion, Preference

Columns = Mapping[str, str | None]

_SHARED: Final = {
    "prompt": ("prompt", "caption"),
    "technical": ("technical", "VQ"),
    "motion": ("motion", "MQ"),
    "semantic": ("semantic", "TA"),
    "overall": ("overall", "MOS"),
}
OPINION_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("path", "filename", "file", "video", "video_path"),
    "generator": ("generator", "model"),
    **_SHARED,
}
"""Names that a list's columns may have, in any case."""

PREFERENCE_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "path_a": ("path_A",),
    "path_b": ("path_B",),
    "generator_a": ("generator_A", "A_model", "model_A"),
    "generator_b": ("generator_B", "B_model", "model_B"),
    **_SHARED,
}
"""VideoAlign's names among them: VQ is technical, MQ motion, TA (text alignment) semantic."""

_CHOICES: Final[Mapping[str, Choice]] = {"a": "A", "b": "B", "same": "same", "tie": "same"}


def read_opinions(
    source: Any, *, root: str | os.PathLike[str] | None = None, columns: Columns | None = None
) -> list[Opinion]:
    """The mean opinion scores of a list, on the list's own scale, one entry a video.

    A `.txt` has lines `filename|prompt|mos`, of which the first and last bars count, so that a
    prompt may hold bars; a header line `filename|prompt|technical|motion` names other scores. A
    prompt with line breaks needs a csv (in double quotes) or jsonl. A column `mos` is `overall`.
    An empty cell, or null, is a dimension that nobody rated. The same video in two rows is an
    error unless the rows are equal; then it is kept once.

    Args:
        source: path of a .txt, .csv, .jsonl or .parquet, a folder that datasets' `save_to_disk`
            wrote, or a `datasets.Dataset`.
        root: folder that relative paths of videos start from; default the list's own folder, and
            the current one for a `Dataset`.
        columns: {field: name of the list's column} where it is not among `OPINION_COLUMNS`; None
            leaves a column out.

    Raises:
        ValueError: a row is malformed, with its line; a video has two opinions; or no rows.
        ModuleNotFoundError: the list needs `datasets`, which is not installed.
    """
    folder = _root(source, root)
    found: dict[Path, tuple[str, Opinion]] = {}
    for row in _read(source, OPINION_COLUMNS, columns):
        path = _path(row, "path", folder)
        opinion = Opinion(path, _text(row, "prompt"), _scores(row), _text(row, "generator"))
        place, earlier = found.setdefault(path, (row.place, opinion))
        if earlier != opinion:
            raise ValueError(
                f"{row.place}: {str(path)!r} has another opinion or prompt at {place}; average "
                "them into one row"
            )
    return [opinion for _, opinion in found.values()]


def read_preferences(
    source: Any, *, root: str | os.PathLike[str] | None = None, columns: Columns | None = None
) -> list[Preference]:
    """The choices of a list, "A", "B" or "same" a dimension; "tie" is "same".

    A pair may stand in several rows, one a rater. The columns are VideoAlign's, path_A, path_B,
    prompt, VQ, MQ, TA and Overall, or the dimensions' own names.

    Args:
        source: path of a .csv, .jsonl or .parquet, a folder that datasets' `save_to_disk` wrote,
            or a `datasets.Dataset`.
        root: folder that relative paths of videos start from; default the list's own folder, and
            the current one for a `Dataset`.
        columns: {field: name of the list's column} where it is not among `PREFERENCE_COLUMNS`;
            None leaves a column out.

    Raises:
        ValueError: a row is malformed, with its line, or no rows.
        ModuleNotFoundError: the list needs `datasets`, which is not installed.
    """
    if isinstance(source, str | os.PathLike) and Path(source).suffix.lower() == ".txt":
        raise ValueError(f"list {str(source)!r} of pairs is a .txt; write a .csv or .jsonl")
    folder = _root(source, root)
    found = []
    for row in _read(source, PREFERENCE_COLUMNS, columns):
        first, second = _path(row, "path_a", folder), _path(row, "path_b", folder)
        if first == second:
            raise ValueError(f"{row.place}: {str(first)!r} is compared with itself; remove the row")
        makers = (_text(row, "generator_a"), _text(row, "generator_b"))
        found.append(Preference(first, second, _text(row, "prompt"), _choices(row), *makers))
    return found


def rescale_opinions(
    opinions: Iterable[Opinion], mos_range: Sequence[float] = MOS_RANGE
) -> list[Opinion]:
    """The opinions on the scale 1..5, mapped linearly from `mos_range`.

    Raises:
        ValueError: `mos_range` does not rise, or an opinion lies outside it.
    """
    if len(mos_range) != 2 or not -math.inf < mos_range[0] < mos_range[1] < math.inf:
        raise ValueError(f"mos_range {list(mos_range)} must be two numbers, the worst first")
    (low, high), (worst, best) = mos_range, MOS_RANGE
    result = []
    for opinion in opinions:
        for name, score in opinion.scores.items():
            if not low <= score <= high:
                raise ValueError(
                    f"{str(opinion.path)!r} has {name} {score:g}, outside {low:g}..{high:g}; give "
                    "the scale of your scores, e.g. mos_range: [0, 100], which is mapped to "
                    f"{worst:g}..{best:g}"
                )
        scores = {
            name: worst + (best - worst) * (score - low) / (high - low)
            for name, score in opinion.scores.items()
        }
        result.append(replace(opinion, scores=scores))
    return result


def _names(known: Mapping[str, tuple[str, ...]], columns: Columns | None) -> dict[str, set[str]]:
    """{field: names of its column, in lower case}; a field that is left out has none."""
    columns = columns or {}
    named = {column.casefold() for column in columns.values() if column is not None}
    names = {field: {n.casefold() for n in spelled} - named for field, spelled in known.items()}
    for field, column in columns.items():
        if field not in known:
            close = get_close_matches(field, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(known)}"
            raise ValueError(f"columns has an unknown field {field!r}; {hint}")
        names[field] = set() if column is None else {column.casefold()}
    return names


def _read(
    source: Any, known: Mapping[str, tuple[str, ...]], columns: Columns | None
) -> Iterator[Row]:
    """The rows with fields in place of columns; other columns are passed over."""
    names = _names(known, columns)
    missing = {field: column for field, column in (columns or {}).items() if column is not None}
    rows = 0
    for row in read_rows(source, header=tuple(name.casefold() for name in OPINION_COLUMNS["path"])):
        cells: dict[str, Any] = {}
        spelled: dict[str, str] = {}
        for column, value in row.cells.items():
            for field in (field for field in names if column.casefold() in names[field]):
                if field in spelled:
                    raise ValueError(
                        f"{row.place}: the columns {spelled[field]!r} and {column!r} are both "
                        f"{field}; choose with columns, e.g. {{{field}: {column}}}"
                    )
                spelled[field] = column
                missing.pop(field, None)
                cells[field] = (value.strip() or None) if isinstance(value, str) else value
        rows += 1
        yield Row(row.place, cells, tuple(row.cells))
    if not rows:
        raise ValueError(f"list {_label(source)} has no rows; give at least one")
    for field, column in missing.items():
        raise ValueError(f"list {_label(source)} has no column {column!r}, named for {field}")


def _label(source: Any) -> str:
    return repr(str(source)) if isinstance(source, str | os.PathLike) else type(source).__name__


def _root(source: Any, root: str | os.PathLike[str] | None) -> Path:
    if root is not None:
        return Path(root)
    return Path(source).parent if isinstance(source, str | os.PathLike) else Path()


def _path(row: Row, field: str, folder: Path) -> Path:
    if field not in row.cells:
        raise ValueError(
            f"{row.place}: no column is the {field}, there are {', '.join(row.columns)}; name it "
            f"with columns, e.g. {{{field}: {row.columns[0] if row.columns else 'name'}}}"
        )
    value = row.cells[field]
    if isinstance(value, Mapping):  # a datasets.Video
        value = value.get("path")
    if not isinstance(value, str):
        raise ValueError(f"{row.place}: {field} is {value!r}; give the path of a video file")
    return folder / value


def _text(row: Row, field: str) -> str | None:
    value = row.cells.get(field)
    if not isinstance(value, str | None):
        raise ValueError(f"{row.place}: {field} is {value!r}; give text, or leave it empty")
    return value


def _scores(row: Row) -> dict[Dimension, float]:
    scores: dict[Dimension, float] = {}
    for name, value in _rated(row):
        try:
            score = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise ValueError(
                f"{row.place}: {name} is {value!r}; give a finite number, or leave the cell empty "
                "where nobody rated it"
            )
        scores[name] = score
    return scores


def _choices(row: Row) -> dict[Dimension, Choice]:
    choices: dict[Dimension, Choice] = {}
    for name, value in _rated(row):
        if str(value).casefold() not in _CHOICES:
            raise ValueError(
                f"{row.place}: {name} is {value!r}; give A, B or same, or leave the cell empty "
                "where nobody compared it"
            )
        choices[name] = _CHOICES[str(value).casefold()]
    return choices


def _rated(row: Row) -> list[tuple[Dimension, Any]]:
    rated = [(name, row.cells[name]) for name in DIMENSIONS if row.cells.get(name) is not None]
    if not rated:
        raise ValueError(
            f"{row.place}: there is no score; fill one of {', '.join(DIMENSIONS)} or mos, name "
            f"its column with columns (there are {', '.join(row.columns)}), or remove the row"
        )
    return rated

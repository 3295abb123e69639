"""What `aigv-reward evaluate` reads: lists, benchmark folders, scores of an earlier run."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from aigv_reward.cli.errors import CommandError, UsageError
from aigv_reward.dimensions import DIMENSIONS, Dimension

if TYPE_CHECKING:
    from aigv_reward.evaluation.scoring import Records, VideoScores

Benchmark = Literal["t2vqa-db", "q-eval-video", "video-feedback", "video-gen-reward-bench"]

BENCHMARKS: Final[tuple[Benchmark, ...]] = get_args(Benchmark)


def parse_columns(text: str | None) -> dict[str, str] | None:
    """{field: column} of "path=file,overall=MOS".

    Raises:
        UsageError: a part without a field or a column.
    """
    if text is None:
        return None
    parts = [part.partition("=") for part in text.split(",")]
    for field, equals, column in parts:
        if not (field.strip() and equals and column.strip()):
            raise UsageError(f"--columns {text!r}: write field=column, such as path=file")
    return {field.strip(): column.strip() for field, _, column in parts}


def read_records(
    source: str, benchmark: Benchmark | None, root: str | None, columns: Mapping[str, str] | None
) -> Records:
    """The opinions or preferences of a list or of a benchmark's folder.

    Raises:
        UsageError: they cannot be read.
        CommandError: reading them needs a package that is not installed.
    """
    if benchmark is not None and (root is not None or columns is not None):
        raise UsageError("--root and --columns are for lists; --benchmark knows its own")
    if not os.path.exists(source):
        raise UsageError(f"list {source!r} does not exist; give a list, or a benchmark's folder")
    plain = benchmark is None and os.path.isdir(source)
    if plain and not os.path.exists(os.path.join(source, "state.json")):
        raise UsageError(
            f"folder {source!r} is no data set; if it is a benchmark's, say which with "
            f"--benchmark {'|'.join(BENCHMARKS)}"
        )
    try:
        if benchmark is not None:
            from aigv_reward.evaluation.benchmarks import READERS

            return READERS[benchmark](source)
        from aigv_reward.training.lists import read_opinions, read_preferences

        if _holds_pairs(source, columns):
            return read_preferences(source, root=root, columns=columns)
        return read_opinions(source, root=root, columns=columns)
    except ModuleNotFoundError as error:
        raise CommandError(str(error)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def _holds_pairs(source: str, columns: Mapping[str, str] | None) -> bool:
    from aigv_reward.training.list_rows import read_rows

    if source.lower().endswith(".txt"):
        return False
    if "path_a" in (columns or {}):
        return True
    first = next(iter(read_rows(source)), None)
    return first is not None and "path_a" in (column.casefold() for column in first.cells)


def read_scores(file: str, videos: Iterable[Path]) -> VideoScores:
    """Scores of the list's videos, as `scores.csv` or `aigv-reward score --format csv` hold them.

    A row's path is a video's if both are the same file, seen from the current folder or from the
    csv's. Rows of other videos are passed over; a video without a row has failed.

    Args:
        file: csv with the column `video` and one or more dimensions; `untrained` and `error` are
            read where they are.
        videos: of the list.

    Raises:
        UsageError: the file cannot be read, has no such columns, a score that is no number, or two
            rows for one video.
    """
    from aigv_reward.evaluation.scoring import VideoScores

    places = {os.path.abspath(video): video for video in videos}
    folder = os.path.dirname(os.path.abspath(file))
    scores: dict[Path, dict[Dimension, float]] = {}
    failed: dict[Path, str] = {}
    untrained: set[str] = set()
    try:
        with open(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
            reader = csv.DictReader(opened, strict=True, restkey="")
            names = [name for name in DIMENSIONS if name in (reader.fieldnames or ())]
            if "video" not in (reader.fieldnames or ()) or not names:
                raise UsageError(
                    f"{file!r} has the columns {','.join(reader.fieldnames or ())!r}; it needs "
                    f"video and one or more of {', '.join(DIMENSIONS)}"
                )
            for row in reader:
                place = f"{file!r} line {reader.line_num}"
                if "" in row or None in row.values():
                    raise UsageError(f"{place}: the row has not as many cells as the header")
                here = os.path.abspath(row["video"])
                video = places.get(here) or places.get(
                    os.path.abspath(os.path.join(folder, row["video"]))
                )
                if video is None:
                    continue
                if video in scores or video in failed:
                    raise UsageError(f"{place}: {row['video']!r} has a row already; keep one")
                untrained.update((row.get("untrained") or "").split())
                if row.get("error"):
                    failed[video] = row["error"]
                else:
                    scores[video] = {
                        name: _score(row[name], f"{place}: {name}") for name in names if row[name]
                    }
    except OSError as error:
        raise UsageError(f"scores file {file!r} cannot be read ({error.strerror})") from error
    except csv.Error as error:
        raise UsageError(f"{file!r} is no csv file ({error})") from error
    for video in places.values():
        if video not in scores and video not in failed:
            failed[video] = f"it has no row in {file!r}"
    return VideoScores(scores, failed, tuple(name for name in DIMENSIONS if name in untrained))


def _score(cell: str, place: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{place} is {cell!r}; it must be a finite number, or empty")
    return value

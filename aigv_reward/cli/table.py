"""The table of scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from aigv_reward.cli.errors import printable
from aigv_reward.cli.rows import Columns, Row

LEGEND: Final = "* not trained in this checkpoint: {names}"
ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
NARROWEST: Final = 16
"""Cells that a path is shortened to at most."""


def score_table(columns: Columns, rows: Sequence[Row]) -> Table:
    """One line a video, scores with two decimals; a failed one in red with its reason below."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    if columns.ranked:
        table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("video", min_width=NARROWEST)
    for name in columns.dimensions:
        mark = "*" if name in columns.untrained else ""
        table.add_column(f"{name}{mark}", justify="right", no_wrap=True)
    if columns.weighted:
        table.add_column("weighted", justify="right", no_wrap=True)
    for row in rows:
        record = columns.record(row)
        path = Path(printable(str(record.pop("video"))))
        first = [_number(record.pop("rank"))] if columns.ranked else []
        video = Group(path, Reason(printable(row.error))) if row.error is not None else path
        numbers = [_number(value) for value in record.values()]
        table.add_row(*first, video, *numbers, style=None if row.error is None else "red")
    return table


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


@dataclass(frozen=True)
class Path:
    """A path that gives up folders from the left before it gives up its name."""

    text: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """From `NARROWEST` to the whole path."""
        whole = cell_len(self.text)
        return Measurement(min(whole, NARROWEST), whole).with_maximum(options.max_width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The path in the cells there are."""
        yield Text(shorten(self.text, options.max_width), no_wrap=True, overflow="crop")


@dataclass(frozen=True)
class Reason:
    """Why a video has no scores, indented below its path, on as many lines as it takes."""

    text: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """From `NARROWEST` to one line."""
        return Measurement(NARROWEST, max(NARROWEST, cell_len(self.text) + 2)).with_maximum(
            options.max_width
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The indented lines."""
        yield Padding(Text(self.text, overflow="fold"), (0, 0, 0, 2))


def shorten(path: str, width: int) -> str:
    """The path in at most `width` cells: without its first folders, else without its middle.

    Args:
        path: printable.
        width: cells, at least 1; a wide character takes two.
    """
    if cell_len(path) <= width:
        return path
    folders = path.split("/")
    for first in range(1, len(folders)):
        tail = "/".join((ELLIPSIS, *folders[first:]))
        if cell_len(tail) <= width:
            return tail
    name = folders[-1]
    head, tail = "", ""
    for step in range(len(name)):
        longer = (
            (head, name[-1 - step // 2] + tail) if step % 2 == 0 else (head + name[step // 2], tail)
        )
        if cell_len("".join(longer)) + 1 > width:
            break
        head, tail = longer
    return f"{head}{ELLIPSIS}{tail}"

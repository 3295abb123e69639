"""Results on stdout: JSON lines and csv as they come, a table at the end."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
from typing import Literal, Protocol

import typer

from aigv_reward.cli.errors import CommandError
from aigv_reward.cli.rows import DECIMALS, Columns, Row

Format = Literal["table", "json", "csv"]

UNLIMITED = 100_000
"""Columns of what is no terminal."""

BROKEN_PIPE = 141
"""128 + SIGPIPE, as a shell reports it."""


class RowWriter(Protocol):
    """Prints rows in the order they come."""

    def write(self, row: Row) -> None: ...

    def finish(self) -> None: ...


def emit(text: str) -> None:
    """Write to stdout at once, as UTF-8; undecodable bytes of a path come out as they were.

    Raises:
        CommandError: stdout is closed or full.
        typer.Exit: whoever read stdout has gone; nothing is said.
    """
    if sys.stdout is None:
        raise CommandError("stdout is closed; redirect it to a file")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _discard_stdout()
        raise typer.Exit(BROKEN_PIPE) from None
    except OSError as error:
        _discard_stdout()
        raise CommandError(
            f"cannot write the results ({error.strerror}); make room, or redirect them elsewhere"
        ) from error


def _discard_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter does not fail on it at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def row_writer(form: Format, columns: Columns) -> RowWriter:
    """The writer of a format."""
    if form == "json":
        return JsonLines(columns)
    if form == "csv":
        return CsvRows(columns)
    return TableAtEnd(columns)


class JsonLines:
    """One JSON object a line, in ASCII, so that any reader takes it.

    `error` stands in a failed row only, `windows` where several were scored, `untrained` where the
    checkpoint was not trained for a dimension that is printed.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def write(self, row: Row) -> None:
        """Print the row."""
        record = self.columns.record(row)
        if row.windows is not None:
            record["windows"] = {
                name: [round(value, DECIMALS) for value in row.windows[name]]
                for name in self.columns.dimensions
            }
        if self.columns.untrained:
            record["untrained"] = list(self.columns.untrained)
        if row.error is not None:
            record["error"] = row.error
        emit(json.dumps(record, allow_nan=False) + "\n")

    def finish(self) -> None:
        """Nothing is left to print."""


class CsvRows:
    """A header, then one row a video; empty cells where there is no score."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.begun = False

    def write(self, row: Row) -> None:
        """Print the row, after the header if it is the first."""
        record = self.columns.record(row)
        if self.columns.untrained:
            record["untrained"] = " ".join(self.columns.untrained)
        record["error"] = row.error
        if not self.begun:
            self._emit(list(record))
            self.begun = True
        self._emit(list(record.values()))

    def finish(self) -> None:
        """Nothing is left to print."""

    def _emit(self, cells: list[object]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        emit(line.getvalue())


class TableAtEnd:
    """Keeps the rows, because the widths of a table depend on all of them."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.rows: list[Row] = []

    def write(self, row: Row) -> None:
        """Keep the row."""
        self.rows.append(row)

    def finish(self) -> None:
        """Print the table, as wide as the terminal, or as its content where stdout is none."""
        from rich.console import Console

        from aigv_reward.cli.table import LEGEND, score_table

        if not self.rows:
            return
        terminal = sys.stdout is not None and sys.stdout.isatty()
        page = io.StringIO()
        console = Console(file=page, force_terminal=terminal, width=UNLIMITED)
        table = score_table(self.columns, self.rows)
        if terminal:
            # A number is never cut: on a terminal too narrow for the table its lines wrap.
            least = console.measure(table).minimum
            console.width = max(least, shutil.get_terminal_size().columns)
        console.print(table)
        if self.columns.untrained:
            names = ", ".join(self.columns.untrained)
            console.print(LEGEND.format(names=names), highlight=False)
        emit(page.getvalue())

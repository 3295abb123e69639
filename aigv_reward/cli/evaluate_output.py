"""What `aigv-reward evaluate` writes and prints."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from aigv_reward.cli.errors import CommandError, printable
from aigv_reward.cli.output import UNLIMITED, emit
from aigv_reward.cli.rows import DECIMALS, Row
from aigv_reward.cli.table import LEGEND
from aigv_reward.dimensions import DIMENSIONS, Dimension

if TYPE_CHECKING:
    from aigv_reward.evaluation.bootstrap import Estimate
    from aigv_reward.evaluation.result import Agreement, EvaluationResult
    from aigv_reward.evaluation.scoring import Records


class WriteRow(Protocol):
    """Appends the row of one video."""

    def __call__(self, row: Row) -> None: ...


@contextmanager
def scores_csv(
    file: Path, records: Records, dimensions: Sequence[Dimension], untrained: Sequence[Dimension]
) -> Iterator[WriteRow]:
    """A csv that grows with every row written, so that an interrupted run keeps its scores.

    Columns: video, generator, the dimensions, their opinions as `mos_`dimension where the list
    holds opinions, untrained, error.
    """
    from aigv_reward.training.opinions import Opinion

    opinions = {str(one.path): one for one in records if isinstance(one, Opinion)}
    rated = [name for name in DIMENSIONS if any(name in one.scores for one in opinions.values())]
    makers: dict[str, str | None] = {path: one.generator for path, one in opinions.items()}
    for one in records:
        if not isinstance(one, Opinion):
            makers[str(one.path_a)] = one.generator_a
            makers[str(one.path_b)] = one.generator_b
    with open(file, "w", encoding="utf-8", errors="surrogateescape", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        mos = [f"mos_{name}" for name in rated]
        writer.writerow(["video", "generator", *dimensions, *mos, "untrained", "error"])

        def write(row: Row) -> None:
            said = opinions[row.video].scores if opinions else {}
            values = [row.scores.get(name) for name in dimensions]
            writer.writerow(
                [
                    row.video,
                    makers.get(row.video),
                    *(None if value is None else round(value, DECIMALS) for value in values),
                    *(said.get(name) for name in rated),
                    " ".join(untrained),
                    row.error,
                ]
            )
            opened.flush()

        yield write


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what the disk refuses into one line."""
    try:
        yield
    except OSError as error:
        raise CommandError(
            f"{str(out)!r} cannot be written ({error.strerror or error}); make room, or name "
            "another folder"
        ) from error


def print_result(result: EvaluationResult, written: Sequence[Path]) -> None:
    """The figures on stdout, as wide as the terminal, or as their content where it is none."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    page = io.StringIO()
    console = Console(file=page, force_terminal=terminal, width=UNLIMITED)
    shown = Group(*_parts(result), f"wrote {', '.join(printable(str(one)) for one in written)}")
    if terminal:
        console.width = max(console.measure(shown).minimum, shutil.get_terminal_size().columns)
    console.print(shown, highlight=False)
    emit(page.getvalue())


def _parts(result: EvaluationResult) -> Iterator[RenderableType]:
    from aigv_reward.evaluation.page import interval_note

    yield _table(result.kind, {name: one.all for name, one in result.dimensions.items()}, result)
    systems = {
        name: one.systems for name, one in result.dimensions.items() if one.systems is not None
    }
    if systems:
        yield _table("generators", systems, result)
    if any(one.generators for one in result.dimensions.values()):
        yield _by_generator(result)
    yield Text(interval_note(result.bootstrap, result.unit))
    if result.unscored:
        yield Text(f"Rated but not scored: {', '.join(result.unscored)}.")
    if result.untrained:
        yield Text(LEGEND.format(names=", ".join(result.untrained)))


def _table(what: str, agreements: Mapping[Dimension, Agreement], result: EvaluationResult) -> Table:
    """A line a figure, a column a dimension: it fits 80 cells."""
    from aigv_reward.evaluation.result import LABELS

    counted = {"opinions": "videos", "preferences": "pairs", "generators": "generators"}[what]
    first = "means of generators" if what == "generators" else ""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True)
    for name in agreements:
        table.add_column(_name(result, name), justify="right", no_wrap=True)
    columns = list(agreements.values())
    table.add_row(counted, *(str(one.count) for one in columns))
    if any(one.ties is not None for one in columns):
        table.add_row("called the same", *(str(one.ties) for one in columns))
    for measure in columns[0].estimates:
        table.add_row(LABELS[measure], *(_figure(one.estimates[measure]) for one in columns))
    return table


def _by_generator(result: EvaluationResult) -> Table:
    from aigv_reward.evaluation.result import LABELS

    measure = "srcc" if result.kind == "opinions" else "without_ties"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(f"{LABELS[measure]}, by generator")
    for name in result.dimensions:
        table.add_column(_name(result, name), justify="right", no_wrap=True)
    makers = sorted({maker for one in result.dimensions.values() for maker in one.generators})
    for maker in makers:
        agreements = [one.generators.get(maker) for one in result.dimensions.values()]
        cells = [
            Text("-") if one is None else _figure(one.estimates[measure]) for one in agreements
        ]
        table.add_row(Text(printable(maker)), *cells)
    return table


def _figure(one: Estimate) -> Text:
    if one.value is None:
        return Text("-")
    text = Text(f"{one.value:.3f}")
    if one.low is not None and one.high is not None:
        text.append(f"\n{one.low:.3f}..{one.high:.3f}", style="dim")
    return text


def _name(result: EvaluationResult, name: Dimension) -> str:
    return f"{name}*" if name in result.untrained else name

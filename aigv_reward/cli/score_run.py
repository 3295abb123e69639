"""`aigv-reward score --out`: a run."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aigv_reward.cli.engine import Engine, scorer_of
from aigv_reward.cli.errors import INTERRUPTED, CommandError, UsageError, note
from aigv_reward.cli.output import Format, emit
from aigv_reward.cli.scoring import conclude
from aigv_reward.dimensions import Dimension

if TYPE_CHECKING:
    from aigv_reward.corpus.meter import Progress
    from aigv_reward.corpus.run_folder import Run

NAMED = 10
"""Failed videos that are named on stderr."""
SECONDS_A_LINE = 30.0
"""Between lines of progress, where stderr is no terminal."""


def parse_part(text: str | None) -> tuple[int, int]:
    """(i, n) of "i/n"; (1, 1) if there is none.

    Raises:
        UsageError: not two numbers with 1 <= i <= n.
    """
    if text is None:
        return 1, 1
    one, slash, all_ = text.partition("/")
    if slash and one.isdecimal() and all_.isdecimal() and 1 <= int(one) <= int(all_):
        return int(one), int(all_)
    raise UsageError(f"--shard {text!r} is no part; write I/N with I from 1 to N, such as 1/8")


def parse_workers(text: str) -> int | str:
    """A number of workers, or "auto".

    Raises:
        UsageError: neither.
    """
    if text == "auto":
        return text
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"--workers {text!r} is no number of processes; write 1 or more, or auto")


def score_run(
    inputs: Sequence[str],
    out: Path,
    *,
    checkpoint: str | None,
    device: str | None,
    workers: str,
    engine: Engine,
    shard: str | None,
    dimensions: tuple[Dimension, ...] | None,
    clips: int,
    batch_size: int | None,
    item_timeout: float,
    item_memory: float,
    verify: bool,
    max_error_rate: float,
    form: Format,
) -> None:
    """Score the inputs into a run folder, and exit with the status of `aigv-reward score`."""
    part, count = parse_part(shard), parse_workers(workers)
    with corpus_errors(out):
        try:
            with _progress() as progress:
                run = scorer_of(engine)(
                    list(inputs),
                    out,
                    checkpoint=checkpoint,
                    device=device,
                    workers=count,
                    part=part,
                    dimensions=dimensions,
                    clips=clips,
                    batch_size=batch_size,
                    item_timeout=item_timeout,
                    item_memory=item_memory,
                    verify=verify,
                    progress=progress,
                )
        except KeyboardInterrupt:
            note(f"interrupted; {_kept(out)}; the same command goes on")
            raise typer.Exit(INTERRUPTED) from None
        _tell(run, part, form, out)
        summary = run.summary(part)
    raise typer.Exit(conclude(summary.failed, summary.total, max_error_rate))


@contextmanager
def corpus_errors(folder: Path) -> Iterator[None]:
    """What corpora raise, as an error of the command.

    Raises:
        CommandError: instead of expected errors.
    """
    try:
        yield
    except typer.Exit:  # a RuntimeError
        raise
    except ModuleNotFoundError as error:
        raise CommandError(
            f'runs need {error.name}, which is not installed: pip install "aigv-reward[corpus]"'
        ) from error
    except (ValueError, RuntimeError, ImportError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(
            f"{str(folder)!r} cannot be written ({error.strerror or error}); make room, or repair "
            "it, and give the same command again: what is done is kept"
        ) from error


def _kept(out: Path) -> str:
    from aigv_reward.corpus.run_folder import Run

    try:
        summary = Run(out).summary()
    except (ValueError, OSError):
        return "nothing is kept yet"
    return f"{str(out)!r} keeps {summary.total} of {summary.planned} rows"


def _tell(run: Run, part: tuple[int, int], form: Format, out: Path) -> None:
    table = run.read(["ordinal", "status", "error"], part=part)
    failed = [row for row in table.to_pylist() if row["status"] != "ok"]
    for row in failed[:NAMED]:
        video = run.item(row["ordinal"])
        note(f"{os.fsdecode(video.location)}: {row['status']}: {row['error']}")
    if len(failed) > NAMED:
        note(f"{len(failed) - NAMED} more failed; their rows in {str(out)!r} say why")
    summary = run.summary(part)
    if form == "json":
        counts = {name: getattr(summary, name) for name in ("ok", "error", "timeout", "crash")}
        emit(json.dumps({"run": str(out), "total": summary.total, **counts}) + "\n")
        return
    said = ", ".join(f"{getattr(summary, n)} {n}" for n in ("ok", "error", "timeout", "crash"))
    emit(f"{summary.total} videos: {said}; wrote {out}\n")


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """A bar with rate and remaining time on a terminal, now and then a line elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    ) as bar:
        task = bar.add_task("loading the model", total=None, said="")

        def show(seen: Progress) -> None:
            doing = "scoring" if seen.rate else "loading the model"
            bar.update(
                task, completed=seen.done, total=seen.total, description=doing, said=_said(seen)
            )

        yield show


def _lines() -> Callable[[Progress], None]:
    last = time.monotonic()

    def show(seen: Progress) -> None:
        nonlocal last
        if time.monotonic() > last + SECONDS_A_LINE:
            last = time.monotonic()
            note(f"{seen.done} of {seen.total} {_said(seen)}")

    return show


def _said(seen: Progress) -> str:
    failed = f", {seen.failed} failed" if seen.failed else ""
    if seen.remaining is None:
        return failed.lstrip(", ")
    minutes, seconds = divmod(round(seen.remaining), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{seen.rate:.2f} videos/s, {hours}:{minutes:02d}:{seconds:02d} left{failed}"

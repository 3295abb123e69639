"""What stderr shows while a command works, if it is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aigv_reward.cli.output import Format


@contextmanager
def progress_bar(total: int, form: Format) -> Iterator[Callable[[], None]]:
    """A bar that is gone at the end; call what it gives after each video.

    There is none where stderr is no terminal, nor where rows run over the same terminal.
    """
    shared = form != "table" and sys.stdout is not None and sys.stdout.isatty()
    if shared or sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    ) as progress:
        task = progress.add_task("loading the model", total=total)

        def advance() -> None:
            progress.update(task, advance=1, description="scoring")

        yield advance


@contextmanager
def spinner(doing: str) -> Iterator[None]:
    """A spinner that is gone at the end, for work without steps to count."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(doing):
        yield

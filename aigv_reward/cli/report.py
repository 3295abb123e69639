"""`aigv-reward report`: a run or a set as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aigv_reward.cli.output import emit
from aigv_reward.cli.score_run import corpus_errors


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUN|SET",
            help="Folder of a finished run, or of a set that filter made of one.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Default report.html in the folder.", show_default=False),
    ] = None,
) -> None:
    """Write one HTML file that needs no network: histograms, rules, errors, examples, table."""
    place = out or folder / "report.html"
    with corpus_errors(place):
        from aigv_reward.corpus import write_report

        write_report(folder, place)
    emit(f"wrote {place}\n")

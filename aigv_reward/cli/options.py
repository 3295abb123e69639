"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from aigv_reward.cli.output import Format

Paths = Annotated[
    list[str],
    typer.Argument(
        help="Videos, and folders to search for videos.",
        show_default=False,
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Folder, hub id 'organisation/name', or bundled checkpoint; default lite.",
        show_default=False,
    ),
]
OutputFormat = Annotated[
    Format,
    typer.Option(
        "--format", help="table at the end, or json (an object a line) or csv as they come."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Videos that go through the model at once.")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="DEV",
        help="cpu, cuda, cuda:1, mps; default cuda where there is one, else cpu.",
        show_default=False,
    ),
]
MaxErrorRate = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, metavar="R", help="Share of videos that may fail before the status is 1."
    ),
]

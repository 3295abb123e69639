"""`aigv-reward rank`: candidates of one prompt, best first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import typer

from aigv_reward.cli.errors import UsageError, note
from aigv_reward.cli.listing import find_videos
from aigv_reward.cli.loading import check_answers, check_prompt, load_reward, parse_dimensions
from aigv_reward.cli.options import (
    BatchSize,
    Checkpoint,
    Device,
    MaxErrorRate,
    OutputFormat,
    Paths,
)
from aigv_reward.cli.output import row_writer
from aigv_reward.cli.progress import progress_bar
from aigv_reward.cli.rows import Columns, Row
from aigv_reward.cli.scoring import conclude, score_files
from aigv_reward.dimensions import Dimension


def rank(
    paths: Paths,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="The text all of them were made from.", show_default=False
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="A dimension, or weights of a sum such as motion=0.5,technical=0.5.",
        ),
    ] = "overall",
    checkpoint: Checkpoint = None,
    form: OutputFormat = "table",
    top: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="K",
            help="Print the best K only; failures then go to stderr.",
            show_default=False,
        ),
    ] = None,
    batch_size: BatchSize = 8,
    device: Device = None,
    max_error_rate: MaxErrorRate = 0.0,
) -> None:
    """Sort candidates of one prompt, best first; those that failed come last.

    Equal scores are sorted by path.
    """
    weights = parse_weights(by)
    videos = find_videos(paths)
    texts = [(prompt or "").strip() or None] * len(videos)
    rows = []
    with progress_bar(len(videos), "table") as advance:
        reward = load_reward(checkpoint, device)
        names = reward.dimensions
        check_answers(reward, tuple(weights), ())
        check_answers(reward, names, texts)
        try:
            check_prompt(reward, texts[0], names, "--prompt")
        except ValueError as error:
            raise UsageError(str(error)) from error
        for row in score_files(reward, videos, texts, dimensions=names, batch_size=batch_size):
            rows.append(row)
            advance()
    untrained = tuple(name for name in names if name not in reward.trained)
    writer = row_writer(form, Columns(names, untrained, ranked=True, weighted="=" in by))
    ordered = in_order(rows, weights)
    failed = [row for row in ordered if row.error is not None]
    if top is not None:
        for row in failed:
            note(f"{row.video}: {row.error}")
        ordered = ordered[: min(top, len(ordered) - len(failed))]
    for row in ordered:
        writer.write(row)
    writer.finish()
    raise typer.Exit(conclude(len(failed), len(videos), max_error_rate))


def parse_weights(by: str) -> dict[Dimension, float]:
    """{dimension: weight} of "motion" or "motion=0.5,technical=0.5".

    Raises:
        UsageError: an unknown or repeated dimension, or a weight that is no finite number.
    """
    weights: dict[Dimension, float] = {}
    for part in by.split(","):
        name, equals, number = part.partition("=")
        if not equals and "," in by:
            raise UsageError(
                f"--by {by!r} gives {name.strip()!r} no weight; write motion=0.5,technical=0.5"
            )
        (dimension,) = parse_dimensions(name) or ()
        if dimension in weights:
            raise UsageError(f"--by {by!r} names {dimension} twice; keep one")
        try:
            weights[dimension] = float(number) if equals else 1.0
        except ValueError:
            weights[dimension] = math.nan
        if not math.isfinite(weights[dimension]):
            raise UsageError(f"--by {by!r}: {number.strip()!r} is no weight; write a number")
    return weights


def in_order(rows: Sequence[Row], weights: Mapping[Dimension, float]) -> list[Row]:
    """The rows with rank and weighted sum, best first, equal ones and failed ones by path."""
    summed = [
        row
        if row.error is not None
        else replace(row, weighted=sum(row.scores[name] * w for name, w in weights.items()))
        for row in rows
    ]
    best = sorted(summed, key=lambda row: (row.weighted is None, -(row.weighted or 0.0), row.video))
    return [
        row if row.error is not None else replace(row, rank=place)
        for place, row in enumerate(best, start=1)
    ]

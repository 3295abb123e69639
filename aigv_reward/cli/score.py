"""`aigv-reward score`: scores of files."""

from __future__ import annotations

from typing import Annotated

import typer

from aigv_reward.cli.errors import note
from aigv_reward.cli.listing import find_videos
from aigv_reward.cli.loading import check_answers, load_reward, parse_dimensions
from aigv_reward.cli.options import (
    BatchSize,
    Checkpoint,
    Device,
    MaxErrorRate,
    OutputFormat,
    Paths,
)
from aigv_reward.cli.output import RowWriter, row_writer
from aigv_reward.cli.progress import progress_bar
from aigv_reward.cli.prompts import read_prompts
from aigv_reward.cli.rows import Columns
from aigv_reward.cli.scoring import conclude, score_files


def score(
    paths: Paths,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="csv with the columns path and prompt: the text each video was made from.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    form: OutputFormat = "table",
    dimensions: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Dimensions to score; default all that the checkpoint answers.",
            show_default=False,
        ),
    ] = None,
    clips: Annotated[
        int,
        typer.Option(min=1, help="Average this many windows of each video; json shows each."),
    ] = 1,
    batch_size: BatchSize = 8,
    device: Device = None,
    max_error_rate: MaxErrorRate = 0.0,
) -> None:
    """Score videos: technical, motion, semantic, overall; higher is better.

    The status is 1 if videos failed, more than --max-error-rate allows; the others are scored.
    """
    names = parse_dimensions(dimensions)
    videos = find_videos(paths)
    texts = read_prompts(prompts, videos) if prompts is not None else [None] * len(videos)
    writer: RowWriter | None = None
    failed = 0
    try:
        with progress_bar(len(videos), form) as advance:
            reward = load_reward(checkpoint, device)
            names = names or reward.dimensions
            check_answers(reward, names, texts)
            if prompts is not None and None in texts:
                note(f"{texts.count(None)} of {len(videos)} videos have no prompt in {prompts!r}")
            untrained = tuple(name for name in names if name not in reward.trained)
            writer = row_writer(form, Columns(names, untrained))
            for row in score_files(
                reward, videos, texts, dimensions=names, batch_size=batch_size, clips=clips
            ):
                writer.write(row)
                failed += row.error is not None
                advance()
    finally:
        if writer is not None:
            writer.finish()
    raise typer.Exit(conclude(failed, len(videos), max_error_rate))

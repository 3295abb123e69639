"""`aigv-reward score`: scores of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aigv_reward.cli.engine import Engine
from aigv_reward.cli.errors import UsageError, note
from aigv_reward.cli.listing import find_videos
from aigv_reward.cli.loading import check_answers, load_reward, parse_dimensions
from aigv_reward.cli.options import (
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

INSTEAD = {
    "--prompts": "name a csv list with the columns path and prompt as the input",
    "--format csv": "choose table or json, which tell how many videos were scored",
}


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
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Videos that go through the model at once; default 8, with --out 1 on a CPU.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    max_error_rate: MaxErrorRate = 0.0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Make a run: a folder of Parquet files that the same command goes on with. PATHS "
            "may then be globs, lists (csv, jsonl, parquet) and webdataset tars as well.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto", help="Processes of a run; default auto.", show_default=False
        ),
    ] = None,
    engine: Annotated[
        Engine | None,
        typer.Option(
            help="Score a run on this machine, or on the Ray cluster that RAY_ADDRESS names; "
            "default local.",
            show_default=False,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Score part I of N of a run, from 1/N on: a job of an array each.",
            show_default=False,
        ),
    ] = None,
    item_timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="A run gives a video up after this long; default 120.",
            show_default=False,
        ),
    ] = None,
    item_memory: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            help="A run gives a video up when a process grows by more than this beyond its model; "
            "default 8.",
            show_default=False,
        ),
    ] = None,
    no_verify: Annotated[
        bool,
        typer.Option(
            "--no-verify",
            help="Decode only the frames that are scored; else a run decodes all, and refuses a "
            "video with fewer than its header declares.",
        ),
    ] = False,
) -> None:
    """Score videos: technical, motion, semantic, overall; higher is better.

    The status is 1 if videos failed, more than --max-error-rate allows; the others are scored.
    """
    if out is not None:
        given = {"--prompts": prompts is not None, "--format csv": form == "csv"}
        for name, present in given.items():
            if present:
                raise UsageError(f"{name} has no meaning with --out; {INSTEAD[name]}")
        from aigv_reward.cli.score_run import score_run

        score_run(
            paths,
            out,
            checkpoint=checkpoint,
            device=device,
            workers=workers or "auto",
            engine=engine or "local",
            shard=shard,
            dimensions=parse_dimensions(dimensions),
            clips=clips,
            batch_size=batch_size,
            item_timeout=120.0 if item_timeout is None else item_timeout,
            item_memory=8.0 if item_memory is None else item_memory,
            verify=not no_verify,
            max_error_rate=max_error_rate,
            form=form,
        )
        return
    for name, value in (
        ("--workers", workers),
        ("--engine", engine),
        ("--shard", shard),
        ("--item-timeout", item_timeout),
        ("--item-memory", item_memory),
    ):
        if value is not None:
            raise UsageError(f"{name} {value} is for runs; add --out RUN")
    if no_verify:
        raise UsageError("--no-verify is for runs; add --out RUN")
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
                reward, videos, texts, dimensions=names, batch_size=batch_size or 8, clips=clips
            ):
                writer.write(row)
                failed += row.error is not None
                advance()
    finally:
        if writer is not None:
            writer.finish()
    raise typer.Exit(conclude(failed, len(videos), max_error_rate))

"""`aigv-reward evaluate`: scores against what people said."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aigv_reward import __version__
from aigv_reward.cli.errors import CommandError, UsageError
from aigv_reward.cli.evaluate_inputs import Benchmark, parse_columns, read_records, read_scores
from aigv_reward.cli.evaluate_output import print_result, writing
from aigv_reward.cli.evaluate_scoring import (
    Job,
    keep_scores,
    name_failures,
    score_by_any,
    score_by_model,
)
from aigv_reward.cli.loading import load_reward, parse_dimensions, quiet_transformers
from aigv_reward.cli.options import BatchSize, Checkpoint, Device, MaxErrorRate
from aigv_reward.cli.progress import spinner
from aigv_reward.cli.scoring import conclude
from aigv_reward.dimensions import Dimension

if TYPE_CHECKING:
    from aigv_reward.evaluation.bootstrap import Bootstrap
    from aigv_reward.evaluation.scoring import Records, VideoScores
    from aigv_reward.reward import RewardFn


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            metavar="LIST|FOLDER",
            help="Opinions (path, prompt, a score a dimension) or pairs (path_A, path_B, choices) "
            "as csv, jsonl, parquet or filename|prompt|mos lines; or a benchmark's folder.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; it must be new or empty.")],
    benchmark: Annotated[
        Benchmark | None,
        typer.Option(help="Read FOLDER as this benchmark's authors ship it.", show_default=False),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Where the list's relative paths start; default its own folder.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="F=C,..",
            help="Columns of the list under other names, such as path=file,overall=MOS.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    reward: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Score with any reward instead: a callable of frames and prompts.",
            show_default=False,
        ),
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Take the scores of this csv instead: scores.csv, or what score printed.",
            show_default=False,
        ),
    ] = None,
    dimensions: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Dimensions to evaluate; default all that are rated and answered.",
            show_default=False,
        ),
    ] = None,
    prompts: Annotated[
        bool, typer.Option(help="Give the list's text prompts to questions that take one.")
    ] = True,
    clips: Annotated[int, typer.Option(min=1, help="Average this many windows of each video.")] = 1,
    resamples: Annotated[
        int, typer.Option(min=0, help="Bootstrap resamples of the 95 % intervals; 0 for none.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    batch_size: BatchSize = 8,
    device: Device = None,
    max_error_rate: MaxErrorRate = 0.0,
) -> None:
    """Compare scores with opinions or preferences: SRCC, PLCC, KRCC, RMSE; pair accuracy.

    Writes results.json, scores.csv, a picture and index.html.

    The status is 1 if videos failed, more than --max-error-rate allows.
    """
    if sum(chosen is not None for chosen in (checkpoint, reward, scores)) > 1:
        raise UsageError("--checkpoint, --reward and --scores exclude each other; keep one")
    if scores is not None and clips > 1:
        raise UsageError("--clips is for scoring, and --scores holds scores; leave one out")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{str(out)!r} exists and is not an empty folder; name a new one")
    asked = parse_dimensions(dimensions)
    named = parse_columns(columns)
    with spinner("reading the list"):
        _require_packages()
        records = read_records(source, benchmark, root, named)
    from aigv_reward.evaluation.bootstrap import Bootstrap
    from aigv_reward.evaluation.scoring import list_videos

    about: dict[str, str | int] = {"list": source}
    if benchmark is not None:
        about["benchmark"] = benchmark
    videos = list_videos(records)
    job = Job(out / "scores.csv", records, videos, asked)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        if scores is not None:
            about["scores"] = scores
            table = read_scores(scores, videos)
            keep_scores(job, table)
        else:
            about["reward" if reward else "checkpoint"] = reward or checkpoint or "lite"
            job = job if prompts else replace(job, videos=dict.fromkeys(videos))
            table = _score(job, reward, checkpoint, device, batch_size, clips, about)
    about["version"] = __version__
    name_failures(table)
    if table.scores:
        _conclude(out, table, records, asked, Bootstrap(resamples=resamples, seed=seed), about)
    raise typer.Exit(conclude(len(table.failed), len(videos), max_error_rate))


def _require_packages() -> None:
    try:
        import aigv_reward.evaluation.evaluate
        import aigv_reward.evaluation.plots  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("aigv_reward"):
            raise
        package = error.name.partition(".")[0]
        raise CommandError(f'evaluate needs {package}: pip install "aigv-reward[train]"') from error


def _score(
    job: Job,
    path: str | None,
    checkpoint: str | None,
    device: str | None,
    batch_size: int,
    clips: int,
    about: dict[str, str | int],
) -> VideoScores:
    """The scores of a checkpoint, or of the reward at an import path; adds what it did to `about`.

    Raises:
        UsageError: there is no such reward.
    """
    from aigv_reward.evaluation.import_reward import import_reward
    from aigv_reward.reward import VideoReward

    found: RewardFn
    if path is None:
        with spinner("loading the model"):
            found = load_reward(checkpoint, device)
    else:
        try:
            with quiet_transformers():
                found = import_reward(path)
        except ValueError as error:
            raise UsageError(str(error)) from error
    if not isinstance(found, VideoReward):
        assert path is not None
        if clips > 1:
            raise UsageError(f"reward {path!r} is given whole videos; leave --clips out")
        return score_by_any(job, found, path)
    table, read = score_by_model(job, found, batch_size=batch_size, clips=clips)
    about["prompts"] = "read" if read else "not read"
    about["clips"] = clips
    return table


def _conclude(
    out: Path,
    table: VideoScores,
    records: Records,
    dimensions: Sequence[Dimension] | None,
    bootstrap: Bootstrap,
    about: Mapping[str, str | int],
) -> None:
    """Compute the figures, write them, print them."""
    from aigv_reward.evaluation.evaluate import evaluate as agreement
    from aigv_reward.evaluation.page import evaluation_page
    from aigv_reward.evaluation.plots import PICTURES, picture

    with spinner("resampling"):
        try:
            result = agreement(table, records, dimensions=dimensions, bootstrap=bootstrap)
        except ValueError as error:
            raise CommandError(str(error)) from error
        image = picture(result, records, table.scores)
        files = {
            "results.json": json.dumps(
                {**about, **result.to_dict()}, indent=2, allow_nan=False
            ).encode(),
            PICTURES[result.kind]: image,
            "index.html": evaluation_page(result, image, about).encode("utf-8", "replace"),
        }
    with writing(out):
        for name, data in files.items():
            (out / name).write_bytes(data)
    print_result(result, [out / name for name in ("index.html", "results.json", "scores.csv")])

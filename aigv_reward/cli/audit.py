"""`aigv-reward audit`: whether a reward can be trained against."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from aigv_reward.cli.errors import CommandError, UsageError, note
from aigv_reward.cli.listing import find_videos
from aigv_reward.cli.loading import check_answers, load_reward
from aigv_reward.cli.options import Checkpoint, Device
from aigv_reward.cli.output import UNLIMITED, emit
from aigv_reward.cli.progress import progress_bar
from aigv_reward.cli.prompts import read_prompts

if TYPE_CHECKING:
    from aigv_reward.evaluation.audit import AuditResult
    from aigv_reward.evaluation.audit_settings import AuditThresholds
    from aigv_reward.reward import RewardFn

DEFAULT = "lite"


def audit(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Clean videos, and folders to search for them; default procedural scenes.",
            show_default=False,
        ),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Import path of any reward (frames, prompts, *, fps) -> (B,) or {name: (B,)}, or "
            "of what returns one when called without arguments.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    prompts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="csv with the columns path and prompt: the text each video was made from.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to write audit.json and index.html to; it must be new or empty.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        Literal["table", "json"],
        typer.Option("--format", help="table, or json with all measurements."),
    ] = "table",
    scenes: Annotated[
        int, typer.Option(min=1, help="Procedural scenes, if no videos are given.")
    ] = 4,
    distortions: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Distortions to apply; default all.", show_default=False),
    ] = None,
    variants: Annotated[
        int, typer.Option(min=1, help="Kernels, codecs, places, ... drawn for each distortion.")
    ] = 2,
    frames: Annotated[
        int, typer.Option(min=2, help="Longer videos are cut to this many middle frames.")
    ] = 32,
    side: Annotated[
        int, typer.Option(min=32, help="Videos are shrunk until the smaller side is this long.")
    ] = 256,
    epsilon: Annotated[
        float, typer.Option(help="Most that pixel ascent may change a pixel, in grey levels.")
    ] = 4.0,
    steps: Annotated[int, typer.Option(min=0, help="Of pixel ascent; 0 leaves it out.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Clips that the reward is given at once.")
    ] = 5,
    device: Device = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHECK=VALUE",
            help="What a check asks, such as spearman=0.9; may be repeated.",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with status 1 if a check fails.")
    ] = False,
) -> None:
    """Test a reward before training on it.

    Does each score fall with its distortions, stay under harmless edits, resist known hacks?
    """
    if reward is not None and checkpoint is not None:
        raise UsageError("give --reward or --checkpoint, not both")
    if prompts is not None and not paths:
        raise UsageError("--prompts needs videos; the scenes have captions of their own")
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{str(out)!r} exists and is not an empty folder; name a new one")
    videos = find_videos(paths) if paths else None
    texts = read_prompts(prompts, videos) if prompts is not None and videos else None
    _need_scipy()
    from aigv_reward.evaluation.audit_settings import AuditSettings

    try:
        settings = AuditSettings(
            **({"distortions": tuple(distortions.split(","))} if distortions else {}),
            variants=variants,
            num_frames=frames,
            side=side,
            epsilon=epsilon / 255,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    thresholds = parse_thresholds(threshold or [])
    total = settings.stages * (scenes if videos is None else len(videos))
    with progress_bar(total, form) as advance, redirect_stdout(sys.stderr):
        judged, name, place = _reward(reward, checkpoint, device, texts)
        from aigv_reward.evaluation.audit import audit as run

        try:
            result = run(
                judged,
                videos,
                prompts=texts,
                num_scenes=scenes,
                settings=settings,
                thresholds=thresholds,
                device=place,
                name=name,
                advance=advance,
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
    if form == "json":
        emit(json.dumps(result.to_dict(), indent=1, allow_nan=False) + "\n")
    else:
        _print(result)
    if out is not None:
        _write(result, out, videos)
    if result.failed:
        note(f"{len(result.failed)} of {len(result.verdicts)} checks failed")
    raise typer.Exit(1 if strict and result.failed else 0)


def parse_thresholds(given: Sequence[str]) -> AuditThresholds:
    """The default thresholds with those of "check=value" in their place.

    Raises:
        UsageError: an unknown check, or a value that is no finite number.
    """
    from aigv_reward.evaluation.audit_settings import AuditThresholds

    known = [field.name for field in fields(AuditThresholds)]
    values = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in known:
            raise UsageError(
                f"--threshold {text!r} names no check; write CHECK=VALUE with one of "
                f"{', '.join(known)}"
            )
        try:
            values[name] = float(number)
        except ValueError as error:
            raise UsageError(f"--threshold {text!r}: {number!r} is no number") from error
    try:
        return AuditThresholds(**values)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _reward(
    path: str | None, checkpoint: str | None, device: str | None, texts: Sequence[str | None] | None
) -> tuple[RewardFn, str, str]:
    """The reward, its name, and where it takes its frames."""
    if path is None:
        ours = load_reward(checkpoint, device)
        check_answers(ours, ours.dimensions, texts or ())
        version = ours.model.config.score_version
        return ours, f"{checkpoint or DEFAULT} (score version {version})", str(ours.device)
    import torch

    from aigv_reward.evaluation.import_reward import import_reward

    place = device or "cpu"
    try:
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {place!r} cannot be used ({reason}); try --device cpu") from error
    try:
        return import_reward(path), path, place
    except ValueError as error:
        raise UsageError(str(error)) from error


def _print(result: AuditResult) -> None:
    """The tables, as wide as the terminal, or as their content where stdout is none."""
    from rich.console import Console

    from aigv_reward.evaluation.audit_table import audit_tables

    terminal = sys.stdout is not None and sys.stdout.isatty()
    page = io.StringIO()
    console = Console(file=page, force_terminal=terminal, width=UNLIMITED)
    tables = audit_tables(result)
    if terminal:
        # A number is never cut: on a terminal too narrow for a table its lines wrap.
        least = console.measure(tables).minimum
        console.width = max(least, shutil.get_terminal_size().columns)
    console.print(tables)
    emit(page.getvalue())


def _write(result: AuditResult, out: Path, videos: Sequence[str] | None) -> None:
    from aigv_reward.evaluation.audit import write_audit

    try:
        write_audit(result, out, videos)
    except (OSError, ValueError) as error:
        raise CommandError(
            f"{str(out)!r} cannot be written ({error}); make room, or name another folder"
        ) from error
    note(f"wrote {out / 'audit.json'} and {out / 'index.html'}")


def _need_scipy() -> None:
    if find_spec("scipy") is None:
        raise CommandError('audit needs scipy: pip install "aigv-reward[train]"')

"""`aigv-reward train`: a quality model from opinion scores, choices between videos, or both."""

from __future__ import annotations

import io
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aigv_reward.cli.errors import INTERRUPTED, CommandError, UsageError, note
from aigv_reward.cli.output import UNLIMITED, emit
from aigv_reward.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from rich.table import Table

    from aigv_reward.training.quality_run import QualityRun, RunResult

METRICS = {"srcc": "SRCC", "plcc": "PLCC", "pair_accuracy": "pair accuracy"}


def _keys(asked: bool) -> None:
    if not asked:
        return
    with extra_needed():
        from aigv_reward.training.config_file import describe_keys
    from rich.table import Table

    table = Table("key", "default", "meaning", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in describe_keys():
        table.add_row(*row)
    _print([table])
    raise typer.Exit


def train(
    config: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="YAML file, a key a line.")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Replace a key of the file; may be repeated.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last state that output_dir holds.")
    ] = False,
    keys: Annotated[
        bool,
        typer.Option(
            "--keys",
            help="Print the keys of the file, their defaults and meanings.",
            callback=_keys,
            is_eager=True,
        ),
    ] = False,
) -> None:
    """Train the quality model on your own opinion scores, or on choices between two videos.

    The file names the lists and the recipe; accelerate launch -m aigv_reward train FILE runs it
    on several GPUs. Ctrl-C saves the state, --resume goes on from it exactly.
    """
    with extra_needed():
        from aigv_reward.training.config_file import load_config
        from aigv_reward.training.quality_run import prepare_run
    from aigv_reward.cli.loading import quiet_transformers
    from aigv_reward.training.run_folder import last_state

    try:
        data, model, args = load_config(config, overrides or ())
    except ValueError as error:
        raise UsageError(str(error)) from error
    folder = Path(str(args.output_dir))
    if sys.stderr is None or not sys.stderr.isatty():
        args.disable_tqdm = True
    speaks = args.process_index == 0
    try:
        # What transformers prints is progress; stdout has the results.
        with quiet_transformers(), redirect_stdout(sys.stderr):
            run = prepare_run(data, model, args, resume=resume)
        if speaks:
            emit("\n".join(_beginning(run)) + "\n")
        with quiet_transformers(), redirect_stdout(sys.stderr):
            result = run.train()
    except KeyboardInterrupt:
        state = last_state(folder)
        said = "nothing was saved yet; run the same command again"
        if state is not None:
            again = shlex.join(["aigv-reward", "train", str(config)])
            said = f"{state} holds the state; go on with {again} --resume and the same --set"
        if speaks:
            note(f"interrupted; {said}")
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, ModuleNotFoundError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(
            f"{str(folder)!r} cannot be written ({error}); make room, or name another output_dir"
        ) from error
    if speaks:
        _print([_figures(result), *_ending(result)])


def _beginning(run: QualityRun) -> Iterator[str]:
    for name, sizes in run.rows.sizes().items():
        counts = (f"{size} {what}" for what, size in sizes.items() if size)
        yield f"{name}: {', '.join(counts)}"
    if run.rows.skipped:
        yield f"skipped: {len(run.rows.skipped)} videos that cannot be read"
        yield from (f"  {path}: {reason}" for path, reason in run.rows.skipped.items())
    yield f"learning {', '.join(run.rows.dimensions)}; writing to {run.folder}"
    if run.state is not None:
        yield f"going on from {run.state}"


def _figures(result: RunResult) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("split")
    table.add_column("dimension")
    for title in METRICS.values():
        table.add_column(title, justify="right")
    for split, metrics in result.metrics.items():
        named = [name for name in DIMENSIONS if any(f"{m}_{name}" in metrics for m in METRICS)]
        suffixes = {name: f"_{name}" for name in named} | ({"mean": ""} if len(named) > 1 else {})
        for label, suffix in suffixes.items():
            table.add_row(split, label, *_cells(metrics, suffix))
    return table


def _cells(metrics: Mapping[str, float | None], suffix: str) -> Iterator[str]:
    for metric in METRICS:
        value = metrics.get(f"{metric}{suffix}")
        yield "-" if value is None else f"{value:.3f}"


def _ending(result: RunResult) -> Iterator[str]:
    kept = "" if result.weights_step == result.steps else f", weights of step {result.weights_step}"
    yield f"{result.steps} steps{kept}; calibrated on {result.calibration_set}"
    yield f"wrote {result.folder}: config.json, model.safetensors"
    yield f"use it: aigv-reward score --checkpoint {shlex.quote(str(result.folder))} VIDEO"


def _print(parts: Iterable[Table | str]) -> None:
    from rich.console import Console

    terminal = sys.stdout is not None and sys.stdout.isatty()
    page = io.StringIO()
    width = shutil.get_terminal_size().columns if terminal else UNLIMITED
    console = Console(file=page, force_terminal=terminal, width=width)
    for part in parts:
        console.print(part, highlight=False, soft_wrap=isinstance(part, str), markup=False)
    emit("".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines()))


@contextmanager
def extra_needed() -> Iterator[None]:
    """Name the extra where what training needs is not installed.

    Raises:
        CommandError: a module is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = str(error.name).split(".")[0]
        raise CommandError(f'training needs {missing}: pip install "aigv-reward[train]"') from error

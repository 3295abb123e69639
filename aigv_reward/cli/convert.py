"""`aigv-reward convert`: checkpoints of other implementations in this package's format."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from aigv_reward.cli.errors import CommandError, UsageError
from aigv_reward.cli.output import emit
from aigv_reward.cli.progress import spinner

convert_app = typer.Typer(name="convert", help="Convert checkpoints of other implementations.")


@convert_app.callback()
def _kinds() -> None:
    pass


@convert_app.command()
def aigveval(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="The .pth that the published training script saves."
        ),
    ],
    out: Annotated[Path, typer.Argument(help="Folder to write; it must be new or empty.")],
    config: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="JSON with widths, prompt ids and level ids, if they are not the published ones.",
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="tokenizer.json of the language model; text prompts need it.",
        ),
    ] = None,
    base_llm: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="The language model, if the checkpoint was saved without its frozen weights.",
        ),
    ] = None,
    semantic: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="The BLIP vision model, if the checkpoint was saved without it.",
        ),
    ] = None,
) -> None:
    """Convert a published AIGVEval checkpoint.

    overall is then the published score; the other dimensions are answered but not trained.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{str(out)!r} exists and is not an empty folder; name a new one")
    with spinner("converting"):
        from safetensors import SafetensorError

        from aigv_reward.cli.loading import quiet_transformers
        from aigv_reward.model.conversion import convert_aigveval
        from aigv_reward.reward.golden import write_golden
        from aigv_reward.reward.video_reward import VideoReward

        try:
            with _appearing_whole(out) as folder, quiet_transformers():
                model = convert_aigveval(
                    checkpoint,
                    folder,
                    config=config,
                    tokenizer=tokenizer,
                    base_llm=base_llm,
                    semantic=semantic,
                )
                write_golden(VideoReward(model), folder)
        except ValueError as error:
            raise CommandError(str(error)) from error
        except (OSError, SafetensorError) as error:
            raise CommandError(
                f"{str(out)!r} cannot be written ({error}); make room, or name another folder"
            ) from error
    untrained = [name for name in model.config.dimensions if name not in model.config.trained]
    source = model.config.source
    assert source is not None
    files = sorted(out.iterdir())
    size = sum(path.stat().st_size for path in files) / 1e6
    lines = [
        f"wrote {out} ({size:.1f} MB): {', '.join(path.name for path in files)}",
        f"from {source['file']}, sha256 {source['sha256']}",
        "overall: the published score, an order of videos rather than a MOS",
        *(f"{name}: not trained in this checkpoint" for name in untrained),
        f"use it: aigv-reward score --checkpoint {shlex.quote(str(out))} VIDEO",
    ]
    emit("\n".join(lines) + "\n")


@contextmanager
def _appearing_whole(out: Path) -> Iterator[Path]:
    """A folder to write, which becomes `out` when nothing failed and is gone otherwise."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder = Path(scratch) / "out"
        yield folder
        folder.replace(out)

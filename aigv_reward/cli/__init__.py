"""The command line, `aigv-reward`: one module a command.

Torch and transformers are imported inside the commands, after their arguments are checked, so that
`--help` and a mistyped path answer at once.
"""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from aigv_reward import __version__
from aigv_reward.cli.audit import audit
from aigv_reward.cli.best_of import best_of
from aigv_reward.cli.convert import convert_app
from aigv_reward.cli.errors import CommandGroup
from aigv_reward.cli.evaluate import evaluate
from aigv_reward.cli.filter import filter_command
from aigv_reward.cli.rank import rank
from aigv_reward.cli.report import report
from aigv_reward.cli.score import score
from aigv_reward.cli.serve import serve
from aigv_reward.cli.train import train

__all__ = ["app", "main"]

app = typer.Typer(
    name="aigv-reward",
    cls=CommandGroup,
    help="Scores AI-generated video: technical, motion, semantic and overall quality.",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(score)
app.command()(rank)
app.command("filter")(filter_command)
app.command("best-of")(best_of)
app.command()(report)
app.command()(evaluate)
app.command()(audit)
app.command()(train)
app.command()(serve)
app.add_typer(convert_app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"aigv-reward {__version__}")
        raise typer.Exit


@app.callback()
def _commands(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Run the command that `sys.argv` names and exit with its status."""
    try:
        app()
    finally:
        # Decoding threads are waited for at exit; a second Ctrl-C ends that without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

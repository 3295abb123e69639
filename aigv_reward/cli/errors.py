"""How a command ends when it cannot go on: one line on stderr and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

INTERRUPTED = 130
"""128 + SIGINT, as a shell reports it."""


class CommandError(typer.TyperException):
    """What a command cannot do, and the remedy; exit status 1."""

    exit_code = 1


class UsageError(CommandError):
    """Arguments that make no sense, and the remedy; exit status 2."""

    exit_code = 2


def printable(text: str) -> str:
    """The text with a stand-in for whatever moves a terminal's cursor or cannot be encoded."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def one_line(text: str) -> str:
    """The text without line breaks, and `printable`."""
    return printable(" ".join(text.split()))


def note(text: str) -> None:
    """One line on stderr."""
    print(f"aigv-reward: {one_line(text)}", file=sys.stderr, flush=True)


class CommandGroup(TyperGroup):
    """The commands, with expected errors as one line instead of a panel or a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C is one line and status 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            note("interrupted; the rows printed so far are complete")
            raise typer.Exit(INTERRUPTED) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command that `args` names and exit with its status."""
        try:
            status = super().main(
                args, "aigv-reward", complete_var, False, windows_expand_args, **extra
            )
        except typer.TyperException as error:
            hint = "" if isinstance(error, CommandError) else " (see --help)"
            note(f"error: {error.format_message().rstrip('.')}{hint}")
            status = error.exit_code
        sys.exit(status or 0)

"""What goes wrong, by whose fault: a whole request, or one video of it."""

from __future__ import annotations

from typing import Any

LONGEST_MESSAGE = 500


class RequestRefused(Exception):
    """A request that gets no results.

    Attributes:
        status: HTTP status.
        kind: machine-readable name of the reason.
        message: value, limit and remedy.
        retry_after: seconds after which asking again may help.
    """

    def __init__(
        self, status: int, kind: str, message: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.retry_after = retry_after


class ItemFailed(Exception):
    """One video that has no score; the others of its request have theirs.

    Attributes:
        kind: machine-readable name of the reason.
        message: what is wrong with it.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = as_message(message)


def as_message(text: str) -> str:
    """One printable line of bounded length."""
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 3]}..."


def error_answer(kind: str, message: str) -> dict[str, Any]:
    """How a child says that a video has no score, and how a client is told."""
    return {"error": {"type": kind, "message": message}}

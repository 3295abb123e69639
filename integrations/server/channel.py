"""The child's end of the line: JSON, a message a line, and nothing else on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any


class Channel:
    """Messages from and to the server.

    Whatever libraries print goes nowhere, so that it cannot be taken for an answer.
    """

    def __init__(self) -> None:
        self.incoming = os.dup(0)
        self._outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1):
            os.dup2(nowhere, descriptor)
        self._lines = open(self.incoming, "rb", closefd=False)

    def receive(self) -> dict[str, Any]:
        """The next message; the process ends with the server."""
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            sys.exit(0)
        message: dict[str, Any] = json.loads(line)
        return message

    def messages(self) -> Iterator[dict[str, Any]]:
        """All messages."""
        while True:
            yield self.receive()

    def send(self, **message: Any) -> None:
        """One message; NaN is none."""
        data = memoryview(json.dumps(message, allow_nan=False).encode() + b"\n")
        while data:
            data = data[self._outgoing.write(data) :]

"""Connections that nobody can hold open for nothing: few at once, and headers in time."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from aigv_reward.integrations.server.refusals import error_answer
from aigv_reward.integrations.server.settings import Limits

AT_ONCE: Final = 1 << 16
"""Bytes that are parsed before others have their turn: in chunks of one byte they take 0.1 s."""


def bounded_protocol(limits: Limits) -> type[H11Protocol]:
    """Uvicorn's HTTP/1.1 within limits that uvicorn has not.

    Its own time-out of idle connections ends with the first byte that comes, and its own limit of
    connections counts a connection only when a whole header has come.

    Args:
        limits: `connections` and `header_seconds`.
    """

    class BoundedProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transport.max_size = AT_ONCE  # type: ignore[attr-defined]  # over TLS it has no effect
            self._await_header()
            if len(self.connections) > limits.connections:
                self._refuse(
                    "503 Service Unavailable",
                    "busy",
                    f"{limits.connections} connections are open, which is the limit; try again",
                    "retry-after: 1\r\n",
                )

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                self._timer.cancel()

        def on_response_complete(self) -> None:
            self._await_header()  # first: a request that has come already is begun below
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._timer.cancel()
            super().connection_lost(exc)

        def _await_header(self) -> None:
            self._timer = self.loop.call_later(limits.header_seconds, self._late)

        def _late(self) -> None:
            self._refuse(
                "408 Request Timeout",
                "too_slow",
                f"no request came within {limits.header_seconds:g} s; send its header at once",
            )

        def _refuse(self, status: str, kind: str, message: str, header: str = "") -> None:
            body = json.dumps(error_answer(kind, message))
            head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n{header}"
            answer = f"HTTP/1.1 {status}\r\n{head}connection: close\r\n\r\n{body}"
            self.transport.write(answer.encode())
            self.transport.close()

    return BoundedProtocol

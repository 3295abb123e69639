"""What every request passes: who may ask, what is logged, and what an error shows."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aigv_reward.integrations.server.metrics import Metrics
from aigv_reward.integrations.server.refusals import error_answer

_log = logging.getLogger("aigv_reward.server")


class Gate:
    """The outermost layer of the application.

    A log line has route, status, time and the error's type: no path that was not one of ours, no
    prompt, no file name, no stack trace.

    Args:
        app: what stands behind it.
        token: what a client must know; None where there is none.
        routes: paths that are served.
        open_routes: those that need no token, for probes.
        metrics: counts requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        routes: Collection[str],
        open_routes: Collection[str],
        metrics: Metrics,
    ) -> None:
        self.app, self.metrics = app, metrics
        self.routes, self.open_routes = frozenset(routes), frozenset(open_routes)
        self.token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        route = scope["path"] if scope["path"] in self.routes else "other"
        started, status, failure = time.monotonic(), 0, ""

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if self._may_pass(scope):
                await self.app(scope, receive, watched)
            else:
                await _answer(
                    watched,
                    401,
                    "unauthorized",
                    "send the server's token as 'Authorization: Bearer TOKEN'",
                    {"www-authenticate": "Bearer"},
                )
        except Exception as error:  # nothing of ours may end in a traceback with prompts in it
            failure = f" error={type(error).__name__}"
            if not status:
                await _answer(watched, 500, "server_error", "the server failed", {})
        finally:
            seconds = time.monotonic() - started
            self.metrics.request(route, status, seconds)
            level = logging.ERROR if failure else logging.INFO
            _log.log(level, "route=%s status=%d seconds=%.3f%s", route, status, seconds, failure)

    def _may_pass(self, scope: Scope) -> bool:
        if self.token is None or scope["path"] in self.open_routes:
            return True
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = _credential(headers.get(b"authorization", b""))
        return hmac.compare_digest(given, self.token)


def _credential(header: bytes) -> bytes:
    """The token of a Bearer header, or the password of a Basic one, as URLs carry it."""
    scheme, _, value = header.strip().partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


async def _answer(
    send: Send, status: int, kind: str, message: str, headers: Mapping[str, str]
) -> None:
    body = json.dumps(error_answer(kind, message)).encode()
    fields: list[Any] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *((name.encode(), value.encode()) for name, value in headers.items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})

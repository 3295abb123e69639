"""The outermost layer: an application that fails shows and logs nothing of why."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from aigv_reward.integrations.server.gate import Gate
from aigv_reward.integrations.server.metrics import Metrics


def asked(app: Any, path: str = "/v1/score") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    metrics = Metrics()
    gate = Gate(app, token=None, routes=["/v1/score"], open_routes=[], metrics=metrics)
    scope = {"type": "http", "path": path, "headers": []}
    asyncio.run(gate(scope, None, send))  # type: ignore[arg-type]
    assert b'route="/v1/score",status="500"' in metrics.page() or path != "/v1/score"
    return sent


def test_an_error_is_its_type_in_the_log_and_nothing_in_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(*_: Any) -> None:
        raise RuntimeError("the prompt is: a secret")

    with caplog.at_level(logging.INFO, "aigv_reward.server"):
        start, body = asked(app)
    assert start["status"] == 500
    assert json.loads(body["body"])["error"] == {
        "type": "server_error",
        "message": "the server failed",
    }
    (record,) = caplog.records
    assert record.exc_info is None
    assert record.getMessage().startswith("route=/v1/score status=500")
    assert record.getMessage().endswith("error=RuntimeError")


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("too late")

    assert [message["type"] for message in asked(app, "/other")] == ["http.response.start"]

"""The routes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from aigv_reward import __version__
from aigv_reward.integrations.server.asked import Video, check_dimensions
from aigv_reward.integrations.server.bodies import JSON, MULTIPART, TENSORS, read_body
from aigv_reward.integrations.server.flow_factory import compute_answer
from aigv_reward.integrations.server.gate import Gate
from aigv_reward.integrations.server.refusals import ItemFailed, RequestRefused, error_answer
from aigv_reward.integrations.server.scorer import Result, Scorer
from aigv_reward.integrations.server.settings import ServerSettings
from aigv_reward.integrations.server.spool import RequestFolder, Spool

OPEN_ROUTES = ("/healthz", "/readyz", "/health")
ROUTES = (*OPEN_ROUTES, "/v1/score", "/v1/info", "/metrics", "/compute")

Work = Callable[[RequestFolder], Awaitable[Response]]


def create_app(settings: ServerSettings, scorer: Scorer, spool: Spool) -> ASGIApp:
    """The application; whoever makes it starts and stops scorer and spool."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    limits = settings.limits
    busy = 0

    async def work_on(request: Request, work: Work) -> Response:
        """Do the work for as long as the client waits, in a folder of its own."""
        nonlocal busy
        require_ready(scorer)
        scorer.check_room(1)
        if busy >= limits.requests:
            raise RequestRefused(
                503,
                "busy",
                f"{busy} requests are open, the limit is {limits.requests}; try again",
                retry_after=1,
            )
        busy += 1
        try:
            async with spool.request() as folder:
                return await work(folder)
        except ClientDisconnect:
            return Response(status_code=499)
        finally:
            busy -= 1

    @app.post("/v1/score")
    async def score(request: Request) -> Response:
        async def work(folder: RequestFolder) -> Response:
            videos, asked = await read_body(
                request, folder, limits=limits, allow_root=settings.allow_root
            )
            names = check_dimensions(asked, scorer.facts["dimensions"])
            with scorer.admitted(len(videos)):
                results = await while_connected(request, scorer.score(videos, names, folder.path))
            return as_json(
                {
                    "dimensions": list(names),
                    "trained": [name for name in scorer.facts["trained"] if name in names],
                    "calibrated": scorer.facts["calibrated"],
                    "score_version": scorer.facts["score_version"],
                    "results": result_rows(videos, results),
                }
            )

        return await work_on(request, work)

    @app.post("/compute")
    async def compute(request: Request) -> Response:
        async def work(folder: RequestFolder) -> Response:
            return as_json(await compute_answer(request, folder, scorer, while_connected))

        return await work_on(request, work)

    @app.get("/healthz")
    async def healthz() -> Response:
        return as_json({"status": "ok"})

    @app.get("/readyz")
    @app.get("/health")
    async def readyz() -> Response:
        if not scorer.ready:
            raise RequestRefused(503, "loading", "the model is being loaded", retry_after=2)
        return as_json({"status": "ready"})

    @app.get("/v1/info")
    async def info() -> Response:
        require_ready(scorer)
        told = {key: value for key, value in scorer.facts.items() if key != "config"}
        checkpoint = os.path.basename(os.path.normpath(settings.checkpoint or "lite"))
        return as_json(
            {
                "version": __version__,
                "checkpoint": checkpoint,
                **told,
                "encodings": [MULTIPART, TENSORS, *([JSON] if settings.allow_root else [])],
                "limits": {"body_bytes": limits.body_bytes, "items": limits.items},
            }
        )

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse(scorer.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    @app.exception_handler(RequestRefused)
    async def refuse(request: Request, error: RequestRefused) -> Response:
        # The rest of the body is not wanted, so the connection cannot be used again.
        headers = {"connection": "close"}
        if error.retry_after is not None:
            headers["retry-after"] = str(error.retry_after)
        return as_json(error_answer(error.kind, error.message), error.status, headers)

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        kind = {404: "not_found", 405: "wrong_method"}.get(error.status_code, "refused")
        return as_json(error_answer(kind, str(error.detail)), error.status_code, error.headers)

    return Gate(
        app,
        token=settings.token,
        routes=ROUTES,
        open_routes=OPEN_ROUTES,
        metrics=scorer.metrics,
    )


def require_ready(scorer: Scorer) -> None:
    """Refuse until the model has been loaded once; while it is started anew, requests wait.

    Raises:
        RequestRefused: it has not been.
    """
    if not scorer.facts:
        raise RequestRefused(503, "loading", "the model is being loaded", retry_after=2)


async def while_connected(request: Request, work: Awaitable[Any]) -> Any:
    """What comes of the work, given up when the client goes away.

    Raises:
        ClientDisconnect: it went.
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    tasks = [asyncio.ensure_future(work), asyncio.create_task(gone())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()
        raise ClientDisconnect
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, RequestRefused, ItemFailed):
                await task


def result_rows(videos: Sequence[Video], results: Sequence[Result]) -> list[dict[str, Any]]:
    """One object a video, in order: its id, and its scores or its error."""
    rows: list[dict[str, Any]] = []
    for video, result in zip(videos, results, strict=True):
        if isinstance(result, ItemFailed):
            rows.append({"id": video.id, **error_answer(result.kind, result.message)})
        else:
            rows.append({"id": video.id, "scores": result})
    return rows


def as_json(content: Any, status: int = 200, headers: Any = None) -> Response:
    """A response without NaN, which is no JSON."""
    return Response(json.dumps(content, allow_nan=False), status, headers, JSON)

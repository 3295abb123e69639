"""Flow-Factory's remote reward protocol: `POST /compute`, one number a video."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request

from aigv_reward.integrations.server.asked import Video
from aigv_reward.integrations.server.bodies import store
from aigv_reward.integrations.server.content_type import content_type
from aigv_reward.integrations.server.refusals import ItemFailed, RequestRefused
from aigv_reward.integrations.server.scorer import Scorer
from aigv_reward.integrations.server.spool import RequestFolder

WhileConnected = Callable[[Request, Awaitable[Any]], Awaitable[Any]]


async def compute_answer(
    request: Request, folder: RequestFolder, scorer: Scorer, while_connected: WhileConnected
) -> dict[str, list[float]]:
    """The answer to a body as `flow_factory_compute` describes it.

    The protocol knows no failed video, so one refuses the request: no failure becomes a number.

    Args:
        request: whose body holds frames; other fields of it are not read.
        folder: for its videos.
        scorer: scores them by the server's weights, at the server's frame rate.
        while_connected: runs the work for as long as the client waits.

    Returns:
        {"rewards": [..]}, one a video, in order.

    Raises:
        RequestRefused: a body that is not as above, or a video that has no score.
    """
    content_type(request)
    body = folder.path / "body"
    await store(request, folder, body)
    size = folder.bytes
    folder.hold(size)  # its videos, apart, have no more bytes than the body
    try:
        found = await while_connected(request, scorer.split(body, folder.path))
    except ItemFailed as error:
        raise RequestRefused(422, error.kind, error.message) from None
    await asyncio.to_thread(body.unlink)
    folder.give_back(size)
    fps = scorer.settings.fps
    videos = [
        Video(str(index), prompt, {"kind": "png", "path": path, "fps": fps})
        for index, (path, prompt) in enumerate(zip(found["videos"], found["prompts"], strict=True))
    ]
    weights = scorer.facts["weights"]
    with scorer.admitted(len(videos)):
        scored = scorer.score(videos, tuple(weights), folder.path)
        results = await while_connected(request, scored)
    rewards = []
    for index, result in enumerate(results):
        if isinstance(result, ItemFailed):
            hint = "; start the server with --fps" if "fps" in result.message else ""
            raise RequestRefused(422, result.kind, f"video {index}: {result.message}{hint}")
        rewards.append(sum(weight * result[name] for name, weight in weights.items()))
    return {"rewards": rewards}

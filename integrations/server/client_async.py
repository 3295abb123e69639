"""`RemoteReward` for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx
from torch import Tensor

from aigv_reward import Scores
from aigv_reward.integrations.server.client_answers import as_scores, chosen, read_answer
from aigv_reward.integrations.server.client_retries import Retries
from aigv_reward.integrations.server.client_wire import Source, parts


class AsyncRemoteReward:
    """As `RemoteReward`, to be awaited; its arguments and errors are the same."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        dimensions: Sequence[str] | None = None,
        timeout: float = 300.0,
        retries: Retries | None = None,
        most_bytes: int = 256 << 20,
        most_videos: int = 32,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.dimensions = None if dimensions is None else tuple(dimensions)
        self.retries = retries or Retries()
        self.most_bytes, self.most_videos = most_bytes, most_videos
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._client = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    async def __call__(
        self,
        frames: Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: float | Tensor | None = None,
    ) -> Mapping[str, Tensor]:
        """{dimension: (B,)} of a batch; see `RemoteReward.__call__`."""
        scores = await self.score(frames, prompts, fps=fps, dimensions=self.dimensions)
        return chosen(scores, self.dimensions, frames)

    async def score(
        self,
        videos: Sequence[Source] | Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: float | Tensor | Sequence[float | None] | None = None,
        dimensions: Sequence[str] | None = None,
    ) -> Scores:
        """Scores of videos; see `RemoteReward.score`."""
        asked = parts(
            videos,
            prompts,
            fps,
            dimensions=dimensions,
            most_bytes=self.most_bytes,
            most_videos=self.most_videos,
        )
        answers = []
        for part in asked:
            answers.append((part, read_answer(await self._ask("POST", "/v1/score", part.body))))
        return as_scores(answers, len(videos))

    async def info(self) -> dict[str, Any]:
        """What the server says about itself and its checkpoint; see `RemoteReward.info`."""
        response = await self._ask("GET", "/v1/info", dict)
        if response.status_code != 200:
            read_answer(response)
        content: dict[str, Any] = response.json()
        return content

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> AsyncRemoteReward:
        """The reward itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.close()

    async def _ask(self, method: str, path: str, body: Any) -> httpx.Response:
        attempt = 0
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._client.request(method, path, **body())
            except httpx.TransportError as error:
                outcome = error
            wait = self.retries.after(attempt, outcome)
            if wait is None:
                assert isinstance(outcome, httpx.Response)
                return outcome
            await asyncio.sleep(wait)
            attempt += 1

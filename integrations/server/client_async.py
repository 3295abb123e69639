"""`RemoteReward` for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx
from torch import Tensor

from aigv_reward import Scores
from aigv_reward.integrations.server.client_calls import Outcome, RemoteCalls, Result, Steps
from aigv_reward.integrations.server.client_wire import Source


class AsyncRemoteReward(RemoteCalls[httpx.AsyncClient, httpx.AsyncBaseTransport]):
    """As `RemoteReward`, to be awaited; its arguments and errors are the same."""

    _client_type = httpx.AsyncClient

    async def __call__(
        self,
        frames: Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: float | Tensor | None = None,
    ) -> Mapping[str, Tensor]:
        """{dimension: (B,)} of a batch; see `RemoteReward.__call__`."""
        return await self._take(self._reward(frames, prompts, fps))

    async def score(
        self,
        videos: Sequence[Source] | Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: float | Tensor | Sequence[float | None] | None = None,
        dimensions: Sequence[str] | None = None,
    ) -> Scores:
        """Scores of videos; see `RemoteReward.score`."""
        return await self._take(self._score(videos, prompts, fps, dimensions))

    async def info(self) -> dict[str, Any]:
        """What the server says about itself and its checkpoint; see `RemoteReward.info`."""
        return await self._take(self._info())

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

    async def _take(self, steps: Steps[Result]) -> Result:
        outcome: Outcome | None = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    outcome = None
                    continue
                method, path, body = step
                try:
                    outcome = await self._client.request(method, path, **body())
                except httpx.RequestError as error:
                    outcome = error
        except StopIteration as end:
            result: Result = end.value
            return result

"""What both clients do, without waiting for anything: requests out, answers in, scores back."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, TypeVar

import httpx
from torch import Tensor

from aigv_reward import Scores
from aigv_reward.integrations.server.client_answers import (
    as_scores,
    chosen,
    read_answer,
    read_info,
)
from aigv_reward.integrations.server.client_retries import Retries
from aigv_reward.integrations.server.client_wire import Source, parts

Client = TypeVar("Client")
Transport = TypeVar("Transport")
Result = TypeVar("Result")

Outcome = httpx.Response | httpx.RequestError
Request = tuple[str, str, Callable[[], dict[str, Any]]]
"""Method, path, and what makes the other arguments of `httpx.Client.request`."""

Steps = Generator[Request | float, Any, Result]
"""Requests to send, each answered with its outcome, and seconds to wait; returns the result."""


class RemoteCalls(Generic[Client, Transport]):
    """Settings and calls of a remote reward; a subclass sends the requests and does the waiting.

    Its arguments are those of `RemoteReward`.
    """

    _client_type: Callable[..., Client]

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
        transport: Transport | None = None,
    ) -> None:
        self.dimensions = None if dimensions is None else tuple(dimensions)
        self.retries = retries or Retries()
        self.most_bytes, self.most_videos = most_bytes, most_videos
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._client = self._client_type(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    def _reward(self, frames: Tensor, prompts: Any, fps: Any) -> Steps[dict[str, Tensor]]:
        scores = yield from self._score(frames, prompts, fps, self.dimensions)
        return chosen(scores, self.dimensions, frames)

    def _score(
        self,
        videos: Sequence[Source] | Tensor,
        prompts: Sequence[str | None] | None,
        fps: float | Tensor | Sequence[float | None] | None,
        dimensions: Sequence[str] | None,
    ) -> Steps[Scores]:
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
            response = yield from self._ask("POST", "/v1/score", part.body)
            answers.append(read_answer(response, part, dimensions))
        return as_scores(answers, len(videos))

    def _info(self) -> Steps[dict[str, Any]]:
        response = yield from self._ask("GET", "/v1/info", dict)
        return read_info(response)

    def _ask(
        self, method: str, path: str, body: Callable[[], dict[str, Any]]
    ) -> Steps[httpx.Response]:
        attempt = 0
        while True:
            outcome: Outcome = yield method, path, body
            wait = self.retries.after(attempt, outcome)
            if wait is None:
                assert isinstance(outcome, httpx.Response)
                return outcome
            yield wait
            attempt += 1

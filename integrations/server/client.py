"""A reward on another machine, asked over HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx
from torch import Tensor

from aigv_reward import Scores
from aigv_reward.integrations.server.client_answers import as_scores, chosen, read_answer
from aigv_reward.integrations.server.client_retries import Retries
from aigv_reward.integrations.server.client_wire import Source, parts


class RemoteReward:
    """A `RewardFn` whose scores come from `aigv-reward serve`.

    It has no gradient. uint8 frames get the scores that the checkpoint gives them on this machine;
    float frames are rounded to 256 levels first. What fails raises: no failure becomes a number.

    Args:
        url: of the server, such as "http://gpu:8000".
        token: what the server's token file holds.
        dimensions: what calling the reward returns; None for what the checkpoint was trained to
            answer.
        timeout: seconds that one attempt may take.
        retries: see `Retries`; also made after a broken connection, 408, 429 and 5xx.
        most_bytes: larger batches go as several requests.
        most_videos: the same, in videos.
        transport: of httpx, in place of its own; for tests and for proxies.
    """

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
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.dimensions = None if dimensions is None else tuple(dimensions)
        self.retries = retries or Retries()
        self.most_bytes, self.most_videos = most_bytes, most_videos
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._client = httpx.Client(
            base_url=url, headers=headers, timeout=timeout, transport=transport
        )

    def __call__(
        self,
        frames: Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: float | Tensor | None = None,
    ) -> Mapping[str, Tensor]:
        """{dimension: (B,)} of a batch, float32 on the device of the frames.

        Args:
            frames: (B, T, 3, H, W), RGB, uint8 or float in [0, 1].
            prompts: one text or None a video, or None.
            fps: frames per second, one number or (B,).

        Raises:
            RewardUnavailable: the server does not answer, or only that it is busy.
            ValueError: a video has no score, the server refuses the request, frames that require
                a gradient, or no dimension that the checkpoint was trained for.
        """
        scores = self.score(frames, prompts, fps=fps, dimensions=self.dimensions)
        return chosen(scores, self.dimensions, frames)

    def score(
        self,
        videos: Sequence[Source] | Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: float | Tensor | Sequence[float | None] | None = None,
        dimensions: Sequence[str] | None = None,
    ) -> Scores:
        """Scores of videos, as `VideoReward.score` gives them; files are sent as they are.

        Args:
            videos: paths, bytes of files and (T, 3, H, W) tensors, or one (B, T, 3, H, W) tensor.
            prompts: one text or None a video, or None.
            fps: of tensors; files know theirs.
            dimensions: what to score, None for everything that the checkpoint answers.

        Raises:
            RewardUnavailable: see `__call__`.
            ValueError: see `__call__`.
        """
        asked = parts(
            videos,
            prompts,
            fps,
            dimensions=dimensions,
            most_bytes=self.most_bytes,
            most_videos=self.most_videos,
        )
        answers = [(part, read_answer(self._ask("POST", "/v1/score", part.body))) for part in asked]
        return as_scores(answers, len(videos))

    def info(self) -> dict[str, Any]:
        """What the server says about itself and its checkpoint.

        Raises:
            RewardUnavailable: it does not answer.
            ValueError: it refuses.
        """
        response = self._ask("GET", "/v1/info", dict)
        if response.status_code != 200:
            read_answer(response)
        content: dict[str, Any] = response.json()
        return content

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> RemoteReward:
        """The reward itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()

    def _ask(self, method: str, path: str, body: Any) -> httpx.Response:
        attempt = 0
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._client.request(method, path, **body())
            except httpx.TransportError as error:
                outcome = error
            wait = self.retries.after(attempt, outcome)
            if wait is None:
                assert isinstance(outcome, httpx.Response)
                return outcome
            time.sleep(wait)
            attempt += 1

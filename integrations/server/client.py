"""A reward on another machine, asked over HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx
from torch import Tensor

from aigv_reward import Scores
from aigv_reward.integrations.server.client_calls import Outcome, RemoteCalls, Result, Steps
from aigv_reward.integrations.server.client_wire import Source


class RemoteReward(RemoteCalls[httpx.Client, httpx.BaseTransport]):
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
        transport: of httpx, in place of its own; for tests, proxies and certificates.
    """

    _client_type = httpx.Client

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
            RewardUnavailable: the server does not answer, only that it is busy, or not as one of
                these servers does; no such answer becomes a number.
            ValueError: a video has no score, the server refuses the request, frames that require
                a gradient, or no dimension that the checkpoint was trained for.
        """
        return self._take(self._reward(frames, prompts, fps))

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
        return self._take(self._score(videos, prompts, fps, dimensions))

    def info(self) -> dict[str, Any]:
        """What the server says about itself and its checkpoint.

        Raises:
            RewardUnavailable: it does not answer, or not as such a server.
            ValueError: it refuses.
        """
        return self._take(self._info())

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

    def _take(self, steps: Steps[Result]) -> Result:
        outcome: Outcome | None = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, float):
                    time.sleep(step)
                    outcome = None
                    continue
                method, path, body = step
                try:
                    outcome = self._client.request(method, path, **body())
                except httpx.RequestError as error:
                    outcome = error
        except StopIteration as end:
            result: Result = end.value
            return result

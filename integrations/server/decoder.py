"""The decoding process, as the server sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aigv_reward.integrations.server.refusals import ItemFailed
from aigv_reward.integrations.server.settings import Limits
from aigv_reward.integrations.server.supervised import ChildLost, Message, Supervised

HANGS: Final = 30.0
"""Seconds after which a decoder that does not end its own jobs in time is ended."""

# It forks, which a process with threads of its own must not.
ONE_THREAD: Final = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM")
}


class Decoder:
    """Videos to files of views, a few at once.

    Args:
        limits: of a video.
        spool: folder of all bodies, which the process removes if it outlives the server.
        count: videos that are decoded at once.
        on_restart: see `Supervised`.
    """

    def __init__(
        self, limits: Limits, *, spool: Path, count: int, on_restart: Callable[[str], None]
    ) -> None:
        self.limits, self.spool = limits, spool
        self._free = asyncio.Semaphore(count)
        self._config: asyncio.Future[Message] | None = None
        self._child = Supervised(
            "aigv_reward.integrations.server.decode_child",
            name="decoder",
            settings=self._settings,
            environment=ONE_THREAD,
            on_restart=on_restart,
        )

    @property
    def ready(self) -> bool:
        """Whether the process has started and lives."""
        return self._child.ready

    async def start(self, config: asyncio.Future[Message]) -> None:
        """Start the process; the model's config may come while it imports.

        Raises:
            ChildFailed: it cannot start.
        """
        self._config = config
        await self._child.start()

    async def stop(self) -> None:
        """End the process."""
        await self._child.stop()

    async def decode(self, job: Message) -> Any:
        """What a job is done with; cancelling the caller ends the job.

        Raises:
            ItemFailed: the video cannot be decoded within the limits.
        """
        async with self._free:
            answer = await self._answer(job)
        if "error" in answer:
            raise ItemFailed(answer["error"]["type"], answer["error"]["message"])
        return answer["done"]

    async def _answer(self, job: Message) -> Message:
        timeout = 2 * self.limits.decode_seconds + HANGS
        try:
            return await self._child.call(job, timeout=timeout)
        except ChildLost:
            pass  # with everything that was being decoded; each gets one more try
        try:
            return await self._child.call(job, timeout=timeout)
        except ChildLost as error:
            raise ItemFailed("decode_crash", f"the decoder: {error}") from None

    async def _settings(self) -> Message:
        assert self._config is not None
        names = ("frame_pixels", "video_pixels", "decode_memory", "decode_seconds")
        limits = {name: getattr(self.limits, name) for name in names}
        config = await self._config
        return {"config": config, "limits": limits, "spool": str(self.spool)}

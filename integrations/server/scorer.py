"""Videos to scores: decoded apart, batched together, one result each."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from aigv_reward.integrations.server.asked import LONGEST_PROMPT, Video
from aigv_reward.integrations.server.batcher import Batcher
from aigv_reward.integrations.server.decoder import Decoder
from aigv_reward.integrations.server.metrics import Metrics
from aigv_reward.integrations.server.refusals import ItemFailed, RequestRefused
from aigv_reward.integrations.server.settings import ServerSettings
from aigv_reward.integrations.server.supervised import Message, Supervised

HERE: Final = "aigv_reward.integrations.server"

Result = dict[str, float] | ItemFailed


class Scorer:
    """The model processes, the decoding process, and the queue before them.

    Args:
        settings: of the server.
        metrics: counts what happens.
        spool: folder of all bodies.
    """

    def __init__(self, settings: ServerSettings, metrics: Metrics, spool: Path) -> None:
        self.settings, self.limits, self.metrics = settings, settings.limits, metrics
        self.models = [
            Supervised(
                f"{HERE}.model_child",
                name=f"model{number}",
                settings=_same(self._model_settings(device)),
                on_restart=metrics.restart,
            )
            for number, device in enumerate(settings.devices)
        ]
        decoders = settings.decoders or min(4, os.cpu_count() or 1)
        self.decoder = Decoder(self.limits, spool=spool, count=decoders, on_restart=metrics.restart)
        self.batcher = Batcher(
            self.models,
            batch_size=settings.batch_size,
            max_wait=settings.max_wait,
            timeout=self.limits.batch_seconds,
            watcher=metrics,
        )
        # Views are larger than most files: no more of them lie about than keep the model busy.
        self._prepared = asyncio.Semaphore(
            decoders + 2 * settings.batch_size * len(settings.devices)
        )
        self._names = itertools.count()
        self.facts: Message = {}
        self.waiting = 0

    @property
    def ready(self) -> bool:
        """Whether videos can be scored now."""
        return self.decoder.ready and any(model.ready for model in self.models)

    async def start(self) -> None:
        """Start every process; returns when all are ready.

        Raises:
            ChildFailed: one says that it cannot start.
        """
        config: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        decoder = asyncio.create_task(self.decoder.start(config))  # imports while models load
        try:
            await asyncio.gather(*(model.start() for model in self.models))
            self.facts = self.models[0].facts
            config.set_result(self.facts["config"])
            await decoder
        except BaseException:
            decoder.cancel()
            raise
        self.batcher.start()

    async def stop(self) -> None:
        """End every process."""
        await self.batcher.stop()
        await asyncio.gather(self.decoder.stop(), *(model.stop() for model in self.models))

    @contextmanager
    def admitted(self, count: int) -> Iterator[None]:
        """Room for `count` videos in the queue, for the length of a `with` block.

        Raises:
            RequestRefused: there is none.
        """
        self.check_room(count)
        self.waiting += count
        self.metrics.waiting(self.waiting)
        try:
            yield
        finally:
            self.waiting -= count
            self.metrics.waiting(self.waiting)

    def check_room(self, count: int) -> None:
        """Refuse before anything is read where there is no room.

        Raises:
            RequestRefused: the queue is full.
        """
        if self.waiting + count > self.limits.queue_items:
            raise RequestRefused(
                503,
                "busy",
                f"{self.waiting} videos wait, of {self.limits.queue_items} that may; try again",
                retry_after=1 + self.waiting // 64,
            )

    async def score(
        self, videos: Sequence[Video], dimensions: tuple[str, ...], folder: Path
    ) -> list[Result]:
        """Scores or an error of each video, in order.

        Args:
            videos: admitted ones.
            dimensions: what to score.
            folder: for their views.

        Raises:
            RequestRefused: it took longer than a request may.
        """
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                return await asyncio.gather(
                    *(self._score(video, dimensions, folder) for video in videos)
                )
        except TimeoutError:
            raise RequestRefused(
                503,
                "too_slow",
                f"no scores within {self.limits.request_seconds:g} s; try again, or send fewer",
                retry_after=5,
            ) from None

    async def split(self, path: Path, folder: Path) -> Message:
        """Prompts and files of the videos of a `/compute` body.

        Raises:
            ItemFailed: it is not what it should be.
        """
        job = {"kind": "split", "path": str(path), "out": str(folder)}
        most = {"items": self.limits.items, "prompt": LONGEST_PROMPT}
        done: Message = await self.decoder.decode({**job, **most})
        return done

    async def _score(self, video: Video, dimensions: tuple[str, ...], folder: Path) -> Result:
        try:
            result: Result = await self._scored(video, dimensions, folder)
            self.metrics.item("ok")
        except ItemFailed as error:
            result = error
            self.metrics.item(error.kind)
        return result

    async def _scored(
        self, video: Video, dimensions: tuple[str, ...], folder: Path
    ) -> dict[str, float]:
        if isinstance(video.job, ItemFailed):
            raise video.job
        views = folder / f"views{next(self._names)}"
        async with self._prepared:
            try:
                shape = await self.decoder.decode({**video.job, "out": str(views)})
                return await self.batcher.score(str(views), video.prompt, dimensions, shape)
            finally:
                with suppress(OSError):
                    views.unlink()

    def _model_settings(self, device: str | None) -> Message:
        return {
            "checkpoint": self.settings.checkpoint,
            "weights": None if self.settings.weights is None else dict(self.settings.weights),
            "calibrated": self.settings.calibrated,
            "device": device,
        }


def _same(message: Message) -> Any:
    async def settings() -> Message:
        return message

    return settings

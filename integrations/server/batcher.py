"""Videos of many requests as batches of the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aigv_reward.integrations.server.refusals import ItemFailed
from aigv_reward.integrations.server.supervised import ChildLost


class Model(Protocol):
    """What scores batches: a supervised child."""

    name: str

    async def call(self, message: dict[str, Any], *, timeout: float) -> dict[str, Any]: ...


class Watcher(Protocol):
    """Is told of each batch."""

    def batch(self, size: int, seconds: float) -> None: ...


@dataclass(eq=False)
class _Waiting:
    views: str
    prompt: str | None
    answer: asyncio.Future[dict[str, float]]
    since: float = field(default_factory=time.monotonic)
    alone: bool = False


@dataclass(eq=False)
class Batcher:
    """Puts videos of the same shape and question into one batch.

    A batch goes to a free model when it is full, or when its first video has waited `max_wait`
    seconds. What a model that died had under way is scored once more, each video alone, so that
    the one that kills it, if there is one, is found and the others have their scores.

    Args:
        models: one a device; each scores one batch at a time.
        batch_size: videos of a batch, at most.
        max_wait: seconds.
        timeout: seconds that a batch may take.
        watcher: is told of each batch.
    """

    models: Sequence[Model]
    batch_size: int
    max_wait: float
    timeout: float
    watcher: Watcher

    def __post_init__(self) -> None:
        self._buckets: dict[Hashable, list[_Waiting]] = {}
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to serve."""
        self._tasks = [asyncio.create_task(self._serve(model)) for model in self.models]

    async def stop(self) -> None:
        """Stop; who still waits is told so."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for bucket in self._buckets.values():
            for one in bucket:
                one.answer.cancel()

    async def score(
        self,
        views: str,
        prompt: str | None,
        dimensions: tuple[str, ...],
        shape: Hashable = None,
    ) -> dict[str, float]:
        """Scores of one prepared video, {dimension: score}.

        Args:
            views: file of its views.
            prompt: or None.
            dimensions: what to score.
            shape: of its views; only equal ones share a batch.

        Raises:
            ItemFailed: the model has no score for it.
        """
        answer: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()
        await self._add((shape, dimensions), _Waiting(views, prompt, answer))
        return await answer

    async def _add(self, key: Hashable, one: _Waiting) -> None:
        async with self._changed:
            self._buckets.setdefault(key, []).append(one)
            self._changed.notify_all()

    async def _serve(self, model: Model) -> None:
        while True:
            key, batch = await self._next()
            dimensions = key[1]
            message = {
                "views": [one.views for one in batch],
                "prompts": [one.prompt for one in batch],
                "dimensions": list(dimensions),
            }
            started = time.monotonic()
            try:
                results = (await model.call(message, timeout=self.timeout))["results"]
            except ChildLost as error:
                await self._again(key, batch, str(error))
                continue
            self.watcher.batch(len(batch), time.monotonic() - started)
            for one, result in zip(batch, results, strict=True):
                _settle(one, result)

    async def _again(self, key: Hashable, batch: Sequence[_Waiting], reason: str) -> None:
        for one in batch:
            if one.alone:
                _settle(one, {"error": {"type": "model_crash", "message": f"the model: {reason}"}})
            else:
                one.alone = True
                await self._add(key, one)

    async def _next(self) -> tuple[Any, list[_Waiting]]:
        """The batch that is due, when it is due."""
        async with self._changed:
            while True:
                now = time.monotonic()
                self._forget_gone()
                due = {key: self._due(bucket) for key, bucket in self._buckets.items()}
                key = min(due, key=lambda one: due[one], default=None)
                if key is not None and due[key] <= now:
                    return key, self._take(key)
                try:
                    async with asyncio.timeout(None if key is None else due[key] - now):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    def _due(self, bucket: Sequence[_Waiting]) -> float:
        """When a bucket's batch is to go; full ones and what is scored alone went long ago."""
        first = bucket[0].since
        whole = len(bucket) >= self.batch_size or any(one.alone for one in bucket)
        return first - 1e6 if whole else first + self.max_wait

    def _take(self, key: Hashable) -> list[_Waiting]:
        bucket = self._buckets[key]
        alone = next((one for one in bucket if one.alone), None)
        batch = bucket[: self.batch_size] if alone is None else [alone]
        left = [one for one in bucket if one not in batch]
        if left:
            self._buckets[key] = left
        else:
            del self._buckets[key]
        return batch

    def _forget_gone(self) -> None:
        """Drop what nobody waits for any more."""
        kept = {k: [w for w in b if not w.answer.done()] for k, b in self._buckets.items()}
        self._buckets = {key: bucket for key, bucket in kept.items() if bucket}


def _settle(one: _Waiting, result: dict[str, Any]) -> None:
    if one.answer.done():
        return
    if "error" in result:
        one.answer.set_exception(ItemFailed(result["error"]["type"], result["error"]["message"]))
    else:
        one.answer.set_result(result["scores"])

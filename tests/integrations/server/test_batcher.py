"""The micro-batcher, with models that a test can see into."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aigv_reward.integrations.server.batcher import Batcher
from aigv_reward.integrations.server.refusals import ItemFailed
from aigv_reward.integrations.server.supervised import ChildLost


class Toy:
    """Scores "7" as 7.0, after what `before` does to the batch."""

    name = "toy"

    def __init__(self, before: Callable[[list[str]], None] = lambda views: None) -> None:
        self.batches: list[list[str]] = []
        self.before = before
        self.asked: list[list[str]] = []
        self.gate: asyncio.Event | None = None

    async def call(self, message: dict[str, Any], *, timeout: float) -> dict[str, Any]:
        views = message["views"]
        self.batches.append(views)
        self.asked.append(message["dimensions"])
        await (asyncio.sleep(0) if self.gate is None else self.gate.wait())
        self.before(views)
        results: list[dict[str, Any]] = []
        for view in views:
            good = {"scores": {"overall": float(view)}} if view.isdecimal() else None
            results.append(good or {"error": {"type": "invalid_item", "message": view}})
        return {"results": results}


class Sizes:
    def __init__(self) -> None:
        self.seen: list[int] = []

    def batch(self, size: int, seconds: float) -> None:
        self.seen.append(size)


def run(toys: list[Toy], work: Callable[[Batcher], Any], *, max_wait: float = 0.05) -> Any:
    async def main() -> Any:
        made = Batcher(toys, batch_size=4, max_wait=max_wait, timeout=5.0, watcher=Sizes())
        made.start()
        try:
            return await asyncio.wait_for(work(made), 10)
        finally:
            await made.stop()

    return asyncio.run(main())


def ask(
    batcher: Batcher, views: str, shape: str = "", names: tuple[str, ...] = ("overall",)
) -> Any:
    return batcher.score(views, None, names, shape)


def test_full_batches_go_at_once_and_each_gets_its_own() -> None:
    toy = Toy()
    found = run(
        [toy],
        lambda b: asyncio.gather(*(ask(b, str(i)) for i in range(8))),
        max_wait=1000.0,
    )
    assert [row["overall"] for row in found] == list(map(float, range(8)))
    assert toy.batches == [["0", "1", "2", "3"], ["4", "5", "6", "7"]]


def test_a_lone_video_waits_only_so_long() -> None:
    toy = Toy()
    assert run([toy], lambda b: ask(b, "3")) == {"overall": 3.0}
    assert toy.batches == [["3"]]


def test_shapes_and_questions_do_not_mix() -> None:
    toy = Toy()
    run(
        [toy],
        lambda b: asyncio.gather(
            ask(b, "0", "large"), ask(b, "1", "small"), ask(b, "2", "large"),
            ask(b, "3", "large", ("motion",)),
        ),
    )  # fmt: skip
    assert sorted(toy.batches) == [["0", "2"], ["1"], ["3"]]


def test_one_that_fails_fails_alone() -> None:
    toy = Toy()
    good, bad = run(
        [toy],
        lambda b: asyncio.gather(ask(b, "1"), ask(b, "no number"), return_exceptions=True),
    )
    assert good == {"overall": 1.0}
    assert isinstance(bad, ItemFailed)
    assert (bad.kind, bad.message) == ("invalid_item", "no number")


def test_one_that_kills_the_model_is_found() -> None:
    def die(views: list[str]) -> None:
        if "13" in views:
            raise ChildLost("its process was ended by SIGSEGV")

    toy = Toy(die)
    found = run(
        [toy],
        lambda b: asyncio.gather(
            *(ask(b, view) for view in ("1", "13", "2")), return_exceptions=True
        ),
    )
    assert [found[0], found[2]] == [{"overall": 1.0}, {"overall": 2.0}]
    assert isinstance(found[1], ItemFailed)
    assert found[1].kind == "model_crash"
    assert found[1].message == "the model: its process was ended by SIGSEGV"
    assert toy.batches[0] == ["1", "13", "2"]
    assert sorted(toy.batches[1:]) == [["1"], ["13"], ["2"]]


def test_what_nobody_waits_for_is_not_scored() -> None:
    toy = Toy()

    async def work(batcher: Batcher) -> None:
        toy.gate = asyncio.Event()
        first = asyncio.create_task(ask(batcher, "1"))
        await asyncio.sleep(0.1)
        gone = asyncio.create_task(ask(batcher, "2"))
        await asyncio.sleep(0.01)
        gone.cancel()
        last = asyncio.create_task(ask(batcher, "3"))
        await asyncio.sleep(0.01)
        toy.gate.set()
        await asyncio.gather(first, last)

    run([toy], work)
    assert toy.batches == [["1"], ["3"]]


def test_two_models_share_the_work() -> None:
    toys = [Toy(), Toy()]

    async def work(batcher: Batcher) -> None:
        for toy in toys:
            toy.gate = asyncio.Event()
        tasks = [asyncio.create_task(ask(batcher, str(i))) for i in range(8)]
        await asyncio.sleep(0.1)
        assert [len(toy.batches) for toy in toys] == [1, 1]
        for toy in toys:
            assert toy.gate is not None
            toy.gate.set()
        await asyncio.gather(*tasks)

    run(toys, work)


def test_a_server_that_stops_leaves_nobody_waiting() -> None:
    async def main() -> None:
        toy = Toy()
        batcher = Batcher([toy], batch_size=4, max_wait=1000.0, timeout=5.0, watcher=Sizes())
        batcher.start()
        task = asyncio.create_task(ask(batcher, "1"))
        await asyncio.sleep(0.01)
        await batcher.stop()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

"""One process of the pool: it loads the model once and then scores what it is sent."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Protocol

from aigv_reward.corpus.item import Item
from aigv_reward.corpus.item_scoring import Prepared
from aigv_reward.corpus.rows import Measured

READY, FAILED, ROWS = "ready", "failed", "rows"
DECODERS = 4


class Scorer(Protocol):
    """What a worker scores with."""

    def prepare(self, item: Item, data: bytes | None = None) -> Prepared: ...

    def score(self, prepared: Sequence[Prepared]) -> list[Measured]: ...


class Settings(Protocol):
    """What loads a scorer in another process."""

    def load(self) -> Scorer: ...


@dataclass(frozen=True)
class Unit:
    """Videos that are scored as one batch.

    Attributes:
        ordinals: their places in the corpus.
        items: the videos.
        data: {place in `items`: bytes} of those whose kind is "dataset".
        solo: nothing else is with the worker meanwhile, so that a death has one cause.
    """

    ordinals: tuple[int, ...]
    items: tuple[Item, ...]
    data: Mapping[int, bytes] = field(default_factory=dict)
    solo: bool = False

    def alone(self) -> list[Unit]:
        """A unit for each of its videos."""
        parts = zip(self.ordinals, self.items, strict=True)
        return [
            Unit((ordinal,), (item,), {0: self.data[i]} if i in self.data else {}, solo=True)
            for i, (ordinal, item) in enumerate(parts)
        ]


def work(pipe: Connection, settings: Settings) -> None:
    """Serve the other end of a pipe; ends, in the middle of all, when that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool decides what Ctrl-C means
    _die_first()
    units: queue.Queue[Unit] = queue.Queue()
    threading.Thread(target=_receive, args=(pipe, units), daemon=True).start()
    try:
        scorer = settings.load()
    except Exception as error:
        pipe.send((FAILED, f"{type(error).__name__}: {error}"))
        return
    pipe.send((READY, None))
    waiting: deque[tuple[Unit, list[Future[Prepared]]]] = deque()
    pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
    while True:
        while not waiting or not units.empty():
            unit = units.get()
            jobs: list[Any] = [
                pool.submit(scorer.prepare, item, unit.data.get(place))
                for place, item in enumerate(unit.items)
            ]
            waiting.append((unit, jobs))
        unit, jobs = waiting.popleft()
        rows = scorer.score([job.result() for job in jobs])
        pipe.send((ROWS, dict(zip(unit.ordinals, rows, strict=True))))


def _receive(pipe: Connection, units: queue.Queue[Unit]) -> None:
    """Take what comes at once, so that whoever sends never waits for a decode."""
    try:
        while True:
            units.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(0)


def _die_first() -> None:
    """Where memory runs out, Linux ends a worker, which is replaced, and not the pool."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass

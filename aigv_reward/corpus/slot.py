"""A place in the pool: its worker, if one lives, and the videos that are with it."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import psutil

from aigv_reward.corpus.limits import GIB, Limits
from aigv_reward.corpus.worker import Settings, Unit, work

LOADING = 1800.0
"""Seconds that a worker may take to load its model."""


class Slot:
    """One worker after another.

    Attributes:
        units: what is with the worker, in the order that it answers; the record of what is lost
            with it.
        pipe: to it; None while there is no worker.
        ready: whether its model is loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.units: deque[Unit] = deque()
        self.pipe: Connection | None = None
        self.ready = False
        self._process: SpawnProcess | None = None
        self._loaded = 0
        self._since = 0.0
        self._not_before = 0.0

    def room(self, depth: int) -> bool:
        """Whether another unit may be sent."""
        if any(unit.solo for unit in self.units):
            return False
        return len(self.units) < (depth if self.ready else 1)

    def send(self, unit: Unit) -> None:
        """Record a unit as in flight, and give it to the worker as soon as there is one."""
        self.units.append(unit)
        if len(self.units) == 1:
            self._since = time.monotonic()
        if self.pipe is None:
            self.start_if_due()
        elif self.ready:
            self._give(unit)

    def start_if_due(self) -> None:
        """Start a worker where there is work, none lives and the pause is over."""
        if self.pipe is not None or not self.units or time.monotonic() < self._not_before:
            return
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, self.settings), daemon=True)
        with _no_interrupts():
            process.start()
        self._process = process
        theirs.close()
        self._since = time.monotonic()

    def begin(self) -> None:
        """The worker is ready: give it what waits."""
        self.ready = True
        self._loaded = self._memory()
        self._since = time.monotonic()
        for unit in self.units:
            self._give(unit)

    def answered(self) -> None:
        """The worker answered its first unit."""
        self.units.popleft()
        self._since = time.monotonic()

    def wakes(self, limits: Limits) -> float | None:
        """When the slot has to be looked at even if nothing is heard of it."""
        if not self.units:
            return None
        if self.pipe is None:
            return self._not_before
        return self._since + self._allowed(limits)

    def overdue(self, limits: Limits) -> bool:
        """Whether the worker took too long."""
        return (
            self.pipe is not None
            and bool(self.units)
            and time.monotonic() > self._since + self._allowed(limits)
        )

    def grown(self) -> float:
        """GiB of memory that the worker holds beyond its loaded model, while it has work."""
        if not self.ready or not self.units:
            return 0.0
        return (self._memory() - self._loaded) / GIB

    def kill(self) -> str:
        """End the worker; returns how it ended."""
        status = "it never ran"
        if self._process is not None:
            if self.pipe is not None:
                self.pipe.close()
            self._process.join(0.2 if self.ready and not self.units else 0)
            self._process.kill()
            self._process.join()
            status = _ending(self._process.exitcode)
            self._process.close()
        self._process, self.pipe, self.ready = None, None, False
        return status

    def recall(self, pause: float) -> list[Unit]:
        """What was with the worker that ended; the next one starts after `pause` seconds."""
        units = list(self.units)
        self.units.clear()
        self._not_before = time.monotonic() + pause
        return units

    def _allowed(self, limits: Limits) -> float:
        return limits.item_timeout * len(self.units[0].items) if self.ready else LOADING

    def _memory(self) -> int:
        """Bytes of memory that are the worker's own; 0 if it has just died."""
        assert self._process is not None
        try:
            held = psutil.Process(self._process.pid).memory_info()
        except psutil.Error:
            return 0
        return int(held.rss - getattr(held, "shared", 0))  # not everywhere told apart

    def _give(self, unit: Unit) -> None:
        assert self.pipe is not None
        try:
            self.pipe.send(unit)
        except OSError:
            pass  # it has died: the pipe's end says so next


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl-C waits within the block, and does not reach the processes that are started in it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exit status {code}"

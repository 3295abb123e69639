"""A supervised pool of spawned processes: every video gets a row, whatever it does to its worker.

ProcessPoolExecutor loses all workers with one, and multiprocessing.Pool waits for ever for the
result of a worker that died.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait
from typing import Final, Literal

from aigv_reward.corpus.limits import Limits
from aigv_reward.corpus.rows import Measured, failure
from aigv_reward.corpus.slot import Slot
from aigv_reward.corpus.worker import FAILED, READY, ROWS, Settings, Unit

START_FAILURES: Final = 3
"""Workers in a row that may end before their model is loaded."""
DEATHS: Final = 2
"""After which a video is recorded: it was tried again once, alone."""
LONGEST_PAUSE: Final = 30.0
TICK: Final = 1.0
MEMORY_TICK: Final = 0.1
"""Seconds between looks at what the workers hold; one can fill about 0.2 GiB meanwhile."""


class PoolError(RuntimeError):
    """The pool cannot go on; what is done is kept."""


class Pool:
    """Scores units of videos in `len(settings)` processes.

    Args:
        settings: for each worker, what loads its scorer.
        limits: of a video.
        ahead: units that a worker decodes while it scores another.
        keep: workers live on after `run`, for the next one, until `close`.

    Attributes:
        deaths: {ordinal: workers that died, or were killed, with that video}.
    """

    def __init__(
        self,
        settings: Sequence[Settings],
        *,
        limits: Limits,
        ahead: int = 0,
        keep: bool = False,
    ) -> None:
        self.slots = [Slot(one) for one in settings]
        self.keep = keep
        self.limits, self.depth = limits, 1 + ahead
        self.deaths: dict[int, int] = {}
        self._again: deque[Unit] = deque()
        self._failed_starts = self._deaths_in_a_row = 0

    def run(
        self,
        units: Iterator[Unit],
        done: Callable[[Mapping[int, Measured]], None],
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Score all units; workers are started as there is work for them.

        Args:
            units: is asked for the next one when a worker is free.
            done: is given {ordinal: columns} as they come.
            tick: is called about every second.

        Raises:
            PoolError: workers end before they are ready, or the model cannot be loaded.
        """
        source = iter(units)
        upcoming = next(source, None)
        finished = False
        try:
            while True:
                for slot in self.slots:
                    while (upcoming or self._again) and slot.room(self.depth):
                        if self._again and slot.units:
                            break
                        if self._again:
                            unit = self._again.popleft()
                        else:
                            assert upcoming is not None
                            unit, upcoming = upcoming, next(source, None)
                        slot.send(unit)
                if not any(slot.units for slot in self.slots):
                    finished = True
                    return
                self._listen(done)
                tick()
        finally:
            if not (finished and self.keep):
                self.close()

    def close(self) -> None:
        """End the workers."""
        for slot in self.slots:
            slot.kill()

    def _listen(self, done: Callable[[Mapping[int, Measured]], None]) -> None:
        """Wait for something to happen, and see to it."""
        now = time.monotonic()
        moments = [slot.wakes(self.limits) for slot in self.slots]
        busy = any(slot.ready and slot.units for slot in self.slots)
        longest = MEMORY_TICK if busy else TICK
        patience = min([longest, *(moment - now for moment in moments if moment is not None)])
        pipes = [slot.pipe for slot in self.slots if slot.pipe is not None]
        if not pipes:
            time.sleep(max(0.0, patience))
        ready = wait(pipes, max(0.0, patience)) if pipes else []
        for slot in self.slots:
            if slot.pipe is not None and slot.pipe in ready:
                self._hear(slot, done)
            elif slot.overdue(self.limits):
                self._lost(slot, "timeout", done)
            elif (grown := slot.grown()) > self.limits.item_memory:
                self._lost(slot, "memory", done, grown)
            slot.start_if_due()

    def _hear(self, slot: Slot, done: Callable[[Mapping[int, Measured]], None]) -> None:
        assert slot.pipe is not None
        try:
            kind, content = slot.pipe.recv()
        except (EOFError, OSError):
            self._lost(slot, "crash", done)
            return
        if kind == FAILED:
            raise PoolError(f"the model cannot be loaded ({content})")
        if kind == READY:
            self._failed_starts = 0
            slot.begin()
        elif kind == ROWS:
            self._deaths_in_a_row = 0
            slot.answered()
            done(content)

    def _lost(
        self,
        slot: Slot,
        why: Literal["crash", "timeout", "memory"],
        done: Callable[[Mapping[int, Measured]], None],
        grown: float = 0.0,
    ) -> None:
        """End a worker and find a place for the videos that were with it."""
        was_ready, status = slot.ready, slot.kill()
        self._deaths_in_a_row += 1
        pause = min(LONGEST_PAUSE, 0.05 * 2 ** min(self._deaths_in_a_row, 12))
        units = slot.recall(pause)
        if not was_ready:
            self._failed_starts += 1
            self._again.extend(units)
            if self._failed_starts >= START_FAILURES:
                raise PoolError(
                    f"{START_FAILURES} workers in a row ended while they loaded the model "
                    f"({status}); is there memory for --workers of them? A script that calls "
                    "score_corpus needs if __name__ == '__main__'"
                )
            return
        alone = len(units) == 1 and len(units[0].items) == 1
        for unit in units:
            for single in unit.alone():
                (ordinal,) = single.ordinals
                deaths = self.deaths[ordinal] = self.deaths.get(ordinal, 0) + 1
                if alone and why == "timeout":
                    said = f"it took more than {self.limits.item_timeout:g} s; raise --item-timeout"
                    done({ordinal: failure("timeout", "Timeout", said)})
                elif alone and deaths >= DEATHS and why == "memory":
                    log = logging.getLogger(__name__)  # what it held differs from run to run
                    log.info("video %d: killed with %.2f GiB beyond the model", ordinal, grown)
                    said = (
                        f"it took more than {self.limits.item_memory:g} GiB beyond the model; look "
                        "for a damaged or huge file, or raise --item-memory"
                    )
                    done({ordinal: failure("crash", "MemoryLimit", said)})
                elif alone and deaths >= DEATHS:
                    said = f"its worker ended twice ({status}); look for a damaged or huge file"
                    done({ordinal: failure("crash", "WorkerDied", said)})
                else:
                    self._again.append(single)

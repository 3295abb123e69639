"""How far a run is and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

PROGRESS_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        done: videos that have a row, or will have one when their shard is complete.
        total: videos of the run, or of the part that was asked for.
        failed: those scored now that have no scores.
        rate: videos a second since the first row; 0 before there are two.
        remaining: seconds that are left at that rate; None where the rate is 0.
    """

    done: int
    total: int
    failed: int
    rate: float
    remaining: float | None


class Meter:
    """Counts rows, and reports about every second.

    Args:
        total: videos to have a row in the end.
        before: those that had one when the run was started or resumed.
        report: is called with the progress.
    """

    def __init__(
        self, total: int, before: int, report: Callable[[Progress], None] | None = None
    ) -> None:
        self.total, self.before, self.report = total, before, report
        self.done = self.failed = 0
        self._begun: float | None = None
        self._told = 0.0

    def add(self, rows: int, failed: int) -> None:
        """Count rows; the rate is that from the first on, so that loading models does not count."""
        if self._begun is None:
            self._begun = time.monotonic()
        self.done += rows
        self.failed += failed

    def tick(self, *, last: bool = False) -> None:
        """Report, if the last time was long enough ago or this is the last."""
        now = time.monotonic()
        if self.report is None or (now < self._told + PROGRESS_SECONDS and not last):
            return
        self._told = now
        passed = now - self._begun if self._begun is not None else 0.0
        rate = (self.done - 1) / passed if passed and self.done > 1 else 0.0
        done = self.before + self.done
        left = (self.total - done) / rate if rate else None
        self.report(Progress(done, self.total, self.failed, rate, left))

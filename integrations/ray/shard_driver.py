"""Shards to actors until every shard's file is there, whatever happens to the actors.

Plain actors with one task each, and not `ray.data.from_items(...).map_batches`: where an actor dies
it is known what it was doing, so that a clip that kills it is found and its neighbours keep their
rows. Ray Data does not say which rows it dropped, keeps an actor that has died for good in its pool
and hangs once all have (ray-project/ray#62746), and takes `max_restarts` and `max_task_retries` no
more from Ray 2.64 on.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ray
from ray.exceptions import RayError, RayTaskError

from aigv_reward.corpus import Meter, PoolError, Run, VideoByVideo

POLL: Final = 0.5
"""Seconds between looks at shards that another process works on."""
DEATHS: Final = 2
"""Actors that may die with a shard before its videos are tried one at a time, or with a video
alone before it is recorded."""
START_FAILURES: Final = 3
"""Actors in a row that may end before they begin."""
LONGEST_PAUSE: Final = 30.0


@dataclass(frozen=True)
class Task:
    """A shard, or one video of it."""

    shard: int
    ordinal: int | None = None


class ShardDriver:
    """Keeps actors busy with what is missing of a run.

    Args:
        run: the run; its shard files are the only record of what is done.
        start: makes an actor.
        count: actors at the same time.
        meter: counts rows.
    """

    def __init__(self, run: Run, start: Callable[[], Any], count: int, meter: Meter) -> None:
        self.run, self.start, self.count, self.meter = run, start, count, meter
        self.deaths: Counter[Task] = Counter()
        self._tasks: deque[Task] = deque()
        self._idle: list[Any] = []
        self._flying: dict[Any, tuple[Any, Task | None]] = {}  # None: it is starting
        self._singly = VideoByVideo(run)
        self._not_before = 0.0
        self._failed_starts = self._deaths_in_a_row = 0

    def score(self, part: tuple[int, int]) -> None:
        """Score until no shard of the part is missing.

        Raises:
            PoolError: actors cannot be started, or cannot load the model.
            OSError: a shard's file cannot be written.
            ValueError: a machine does not see the run.
        """
        try:
            while missing := self.run.missing(part):
                before = self.meter.done
                self._round(missing)
                if self.meter.done == before:
                    time.sleep(POLL)
            self.meter.tick(last=True)
        finally:
            self._singly.close()
            for actor in [*self._idle, *(actor for actor, _ in self._flying.values())]:
                ray.kill(actor)

    def _round(self, missing: Sequence[int]) -> None:
        self._tasks.extend(map(Task, missing))
        while True:
            self._assign()
            busy = sum(task is not None for _, task in self._flying.values())
            if not self._tasks and not busy:
                return
            self._hire(len(self._tasks) + busy)
            if not self._flying:
                time.sleep(max(0.0, self._not_before - time.monotonic()))
                continue
            ready, _ = ray.wait(list(self._flying), timeout=1.0)
            for answer in ready:
                self._hear(answer)
            self.meter.tick()

    def _assign(self) -> None:
        """Give the idle actors what waits."""
        while self._idle and self._tasks:
            task = self._tasks.popleft()
            if task.ordinal is None and self.deaths[task] >= DEATHS:
                videos = self._singly.open(task.shard)
                self._tasks.extendleft(Task(task.shard, ordinal) for ordinal in reversed(videos))
                continue
            actor = self._idle.pop()
            if task.ordinal is None:
                answer = actor.shard.remote(task.shard)
            else:
                answer = actor.video.remote(task.ordinal)
            self._flying[answer] = actor, task

    def _hire(self, wanted: int) -> None:
        """Start actors as there is work for them, unless they have just been dying."""
        if time.monotonic() < self._not_before:
            return
        while len(self._flying) + len(self._idle) < min(self.count, wanted):
            actor = self.start()
            self._flying[actor.begin.remote()] = actor, None

    def _hear(self, answer: Any) -> None:
        actor, task = self._flying.pop(answer)
        try:
            said = ray.get(answer)
        except RayTaskError as error:
            ray.kill(actor)
            raise error.cause from None  # what the run raises, as it would locally
        except RayError as error:
            self._lost(actor, task, " ".join(str(error).split()))
            return
        self._idle.append(actor)
        if task is None:
            self._failed_starts = 0
            return
        self._deaths_in_a_row = 0
        if task.ordinal is not None:
            self._singly.add(task.ordinal, said)
            self.meter.add(1, said["status"] != "ok")
        elif said is not None:
            self.meter.add(self.run.rows_of(task.shard), said)

    def _lost(self, actor: Any, task: Task | None, reason: str) -> None:
        """Find a place for what was with an actor that died."""
        ray.kill(actor)
        self._deaths_in_a_row += 1
        pause = min(LONGEST_PAUSE, 0.05 * 2 ** min(self._deaths_in_a_row, 12))
        self._not_before = time.monotonic() + pause
        if task is None:
            self._failed_starts += 1
            if self._failed_starts >= START_FAILURES:
                raise PoolError(
                    f"{START_FAILURES} actors in a row ended before they began ({reason}); is "
                    "aigv-reward[corpus,ray] installed on every machine, with memory for its model?"
                )
            return
        self.deaths[task] += 1
        if task.ordinal is None:
            self._tasks.append(task)
        elif self.deaths[task] < DEATHS:
            self._tasks.appendleft(task)
        else:
            said = f"its actor ended twice ({reason}); look for a damaged or huge file"
            self._singly.add_crash(task.ordinal, said)
            self.meter.add(1, 1)

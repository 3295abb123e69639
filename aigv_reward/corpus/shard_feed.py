"""The shards of a run that are not done, through a pool or in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aigv_reward.corpus.claims import Claims
from aigv_reward.corpus.inputs import Corpus
from aigv_reward.corpus.pool import Pool
from aigv_reward.corpus.rows import Measured
from aigv_reward.corpus.run_folder import CLAIMS_FILE, Run
from aigv_reward.corpus.worker import Scorer, Settings, Unit

OTHERS_POLL = 0.5  # seconds between looks at shards that another process works on
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


def score_shard(run: Run, shard: int, scorer: Scorer) -> None:
    """Score a shard in this process and write it; for programs that bring processes of their own.

    A video that kills the process is theirs to isolate: `run.items_of`, the scorer and
    `run.commit` are the parts of this function.

    Args:
        run: that was planned.
        shard: which.
        scorer: what `ScorerSettings.load` returns.

    Raises:
        ValueError: videos of a data set in memory, which only its own process has.
        OSError: the run folder cannot be written.
    """
    items, size = run.items_of(shard), int(run.plan["batch_size"])
    for _, item in items:
        if item.kind == "dataset":
            raise ValueError(
                f"{item.name!r} is of a data set in memory; save it with save_to_disk and score "
                "the folder"
            )
    measured: dict[int, Measured] = {}
    for start in range(0, len(items), size):
        some = items[start : start + size]
        rows = scorer.score([scorer.prepare(item) for _, item in some])
        measured |= {ordinal: row for (ordinal, _), row in zip(some, rows, strict=True)}
    run.commit(shard, measured)


def score_missing(
    run: Run,
    corpus: Corpus,
    workers: Sequence[Settings],
    part: tuple[int, int],
    item_timeout: float,
    *,
    ahead: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Score the shards of a part that no file is there for, until all are."""
    with Claims(run.folder / CLAIMS_FILE) as claims:
        while missing := run.missing(part):
            feed = _Feed(run, corpus, claims, missing, part, progress)
            Pool(workers, item_timeout=item_timeout, ahead=ahead).run(
                feed.units(), feed.done, feed.tick
            )
            if not feed.claimed:
                time.sleep(OTHERS_POLL)


class _Feed:
    """Cuts shards into units for the pool, and writes those that are complete."""

    def __init__(
        self,
        run: Run,
        corpus: Corpus,
        claims: Claims,
        missing: Sequence[int],
        part: tuple[int, int],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.run, self.corpus, self.claims, self.missing = run, corpus, claims, missing
        self.claimed = 0
        self._progress = progress
        self._total = sum(run.rows_of(shard) for shard in run.shards(part))
        self._before = self._total - sum(run.rows_of(shard) for shard in missing)
        self._open: dict[int, dict[int, Measured]] = {}
        self._done = self._failed = 0
        self._begun: float | None = None
        self._told = 0.0

    def units(self) -> Iterator[Unit]:
        size = int(self.run.plan["batch_size"])
        for shard in self.missing:
            if not self.claims.take(shard):
                continue
            if self.run.shard_path(shard).exists():  # another process has just written it
                self.claims.give(shard)
                continue
            self.claimed += 1
            self._open[shard] = {}
            items = self.run.items_of(shard)
            for start in range(0, len(items), size):
                yield self._unit(items[start : start + size])

    def done(self, rows: Mapping[int, Measured]) -> None:
        if self._begun is None:
            self._begun = time.monotonic()
        for ordinal, measured in rows.items():
            shard = ordinal // int(self.run.plan["shard_size"])
            kept = self._open[shard]
            kept[ordinal] = measured
            self._done += 1
            self._failed += measured["status"] != "ok"
            if len(kept) == self.run.rows_of(shard):
                self.run.commit(shard, self._open.pop(shard))
                self.claims.give(shard)

    def tick(self) -> None:
        now, finished = time.monotonic(), self._done and not self._open
        if self._progress is None or (now < self._told + PROGRESS_SECONDS and not finished):
            return
        self._told = now
        # From the first row on, so that loading models does not count.
        passed = now - self._begun if self._begun is not None else 0.0
        rate = (self._done - 1) / passed if passed and self._done > 1 else 0.0
        done = self._before + self._done
        left = (self._total - done) / rate if rate else None
        self._progress(Progress(done, self._total, self._failed, rate, left))

    def _unit(self, items: Sequence[tuple[int, Any]]) -> Unit:
        data = {
            place: content
            for place, (_, item) in enumerate(items)
            if item.kind == "dataset"
            and (content := self.corpus.dataset[item.offset][self.corpus.column].get("bytes"))
        }
        ordinals, videos = zip(*items, strict=True)
        return Unit(ordinals, tuple(replace(item, extra="{}") for item in videos), data)

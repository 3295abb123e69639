"""The shards of a run that are not done, through a pool or in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aigv_reward.corpus.claims import Claims
from aigv_reward.corpus.inputs import Corpus
from aigv_reward.corpus.limits import Limits
from aigv_reward.corpus.meter import Meter, Progress
from aigv_reward.corpus.pool import Pool
from aigv_reward.corpus.rows import Measured
from aigv_reward.corpus.run_folder import CLAIMS_FILE, Run
from aigv_reward.corpus.worker import Scorer, Settings, Unit

OTHERS_POLL = 0.5  # seconds between looks at shards that another process works on


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
    limits: Limits,
    *,
    ahead: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Score the shards of a part that no file is there for, until all are."""
    with Claims(run.folder / CLAIMS_FILE) as claims:
        while missing := run.missing(part):
            feed = ShardFeed(run, corpus, claims, missing, part, progress)
            Pool(workers, limits=limits, ahead=ahead).run(feed.units(), feed.done, feed.tick)
            if not feed.claimed:
                time.sleep(OTHERS_POLL)


class ShardFeed:
    """Cuts shards into units for the pool, and writes those that are complete.

    Args:
        run: whose shards.
        corpus: holds the data set that items of kind "dataset" are rows of.
        claims: keeps other processes from the shards that are taken.
        missing: the shards to offer.
        part: (i, n) of the plan, for the progress.
        progress: see `Meter`.

    Attributes:
        claimed: shards that were taken; the others are done or with another process.
    """

    def __init__(
        self,
        run: Run,
        corpus: Corpus,
        claims: Claims,
        missing: Sequence[int],
        part: tuple[int, int] = (1, 1),
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.run, self.corpus, self.claims, self.missing = run, corpus, claims, missing
        self.claimed = 0
        total = sum(run.rows_of(shard) for shard in run.shards(part))
        before = total - sum(run.rows_of(shard) for shard in missing)
        self.meter = Meter(total, before, progress)
        self._open: dict[int, dict[int, Measured]] = {}

    def units(self) -> Iterator[Unit]:
        """The units of the shards that no other process has, which are claimed."""
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
        """Keep rows, and write their shard if they were its last."""
        for ordinal, measured in rows.items():
            shard = ordinal // int(self.run.plan["shard_size"])
            kept = self._open[shard]
            kept[ordinal] = measured
            self.meter.add(1, measured["status"] != "ok")
            if len(kept) == self.run.rows_of(shard):
                self.run.commit(shard, self._open.pop(shard))
                self.claims.give(shard)

    def tick(self) -> None:
        """Report the progress."""
        self.meter.tick(last=bool(self.meter.done) and not self._open)

    def _unit(self, items: Sequence[tuple[int, Any]]) -> Unit:
        data = {
            place: content
            for place, (_, item) in enumerate(items)
            if item.kind == "dataset"
            and (content := self.corpus.dataset[item.offset][self.corpus.column].get("bytes"))
        }
        ordinals, videos = zip(*items, strict=True)
        return Unit(ordinals, tuple(replace(item, extra="{}") for item in videos), data)

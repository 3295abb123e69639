"""Scores of a whole corpus, in a folder that an interrupted run goes on from."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from aigv_reward.corpus.claims import Claims
from aigv_reward.corpus.inputs import Corpus, find_corpus
from aigv_reward.corpus.plan import FORMAT, shard_size_for, versions
from aigv_reward.corpus.pool import Pool
from aigv_reward.corpus.rows import Measured
from aigv_reward.corpus.run_folder import CLAIMS_FILE, Run, create_run
from aigv_reward.corpus.worker import Settings, Unit
from aigv_reward.dimensions import Dimension

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


def score_corpus(
    inputs: Any,
    out: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | None = None,
    workers: int | Literal["auto"] = "auto",
    part: tuple[int, int] = (1, 1),
    dimensions: Sequence[Dimension] | None = None,
    clips: int = 1,
    batch_size: int | None = None,
    item_timeout: float = 120.0,
    shard_size: int | None = None,
    verify: bool = True,
    root: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Score every video of an input into a run folder; call it again to go on after any end.

    Every video becomes one row: ok, error, timeout or crash. A shard of rows is one Parquet file
    that is there as a whole or not at all. Several processes, on several machines with one file
    system, may work on a run: each takes shards that no other has.

    Workers are spawned: a script calls this under `if __name__ == "__main__":`.

    Args:
        inputs: see `find_corpus`: folders, globs, lists, tars, or a `datasets.Dataset`.
        out: the run folder: new, empty, or this very run's.
        checkpoint: the bundled default, a folder, or a hub id.
        device: as torch names it; None for cuda where there is one, else cpu.
        workers: processes; "auto": one a GPU, or one a CPU core as far as memory reaches.
        part: (i, n), the i-th of n parts of the plan, from 1, for arrays of jobs.
        dimensions: what to score, default all that the checkpoint answers.
        clips: windows of each video whose scores are averaged.
        batch_size: videos that go through the model at once; default 1 on the CPU, where scores
            are then the same to the bit however the run went, else 8.
        item_timeout: seconds after which a video's worker is killed.
        shard_size: rows of a file, default up to 256.
        verify: decode every frame, and refuse a video with fewer than its header declares.
        root: what relative paths of lists start from; default each list's folder.
        progress: is called about every second.

    Returns:
        The run, complete in the part that was asked for.

    Raises:
        ValueError: bad arguments or input, or a folder whose run was planned otherwise.
        PoolError: workers cannot be started.
        OSError: the run folder cannot be written; run again after making room.
    """
    _check(workers, part, item_timeout, clips, batch_size, shard_size)
    corpus = find_corpus(inputs, root=root)
    from aigv_reward.corpus.preparation import settings_for, worker_settings

    settings, facts = settings_for(checkpoint, device, dimensions, clips, verify)
    size = batch_size or (1 if settings.device == "cpu" else 8)
    plan = {
        "format": FORMAT,
        "shard_size": shard_size or shard_size_for(len(corpus.items)),
        "batch_size": size,
        "clips": clips,
        "verify": verify,
        "dimensions": list(settings.dimensions),
        "device": settings.device.partition(":")[0],
        "versions": versions(),
        **facts,
    }
    run = create_run(out, plan, corpus.items)
    places = worker_settings(settings, workers, len(corpus.items))
    ahead = 0 if settings.device == "cpu" or corpus.dataset is not None else 2
    score_missing(run, corpus, places, part, item_timeout, ahead=ahead, progress=progress)
    return run


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


def _check(
    workers: int | str,
    part: tuple[int, int],
    item_timeout: float,
    clips: int,
    batch_size: int | None,
    shard_size: int | None,
) -> None:
    if workers != "auto" and (not isinstance(workers, int) or workers < 1):
        raise ValueError(f"workers is {workers!r}; give 1 or more, or auto")
    if not 1 <= part[0] <= part[1]:
        raise ValueError(f"part {part[0]}/{part[1]}: i of i/n runs from 1 to n")
    if not item_timeout > 0:
        raise ValueError(f"item_timeout is {item_timeout}; give seconds above 0")
    for name, value in (("clips", clips), ("batch_size", batch_size), ("shard_size", shard_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")

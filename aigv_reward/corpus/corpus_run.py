"""Scores of a whole corpus, in a folder that an interrupted run goes on from."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

from aigv_reward.corpus.limits import Limits
from aigv_reward.corpus.meter import Progress
from aigv_reward.corpus.planned_run import check_counts, plan_corpus
from aigv_reward.corpus.run_folder import Run
from aigv_reward.corpus.shard_feed import score_missing
from aigv_reward.dimensions import Dimension


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
    item_memory: float = 8.0,
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
        item_memory: GiB by which a worker may grow beyond its loaded model before it is killed.
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
    check_counts(workers, part)
    limits = Limits(item_timeout, item_memory)
    planned = plan_corpus(
        inputs,
        out,
        checkpoint=checkpoint,
        device=device,
        dimensions=dimensions,
        clips=clips,
        batch_size=batch_size,
        shard_size=shard_size,
        verify=verify,
        root=root,
    )
    run, corpus, settings = planned.run, planned.corpus, planned.settings
    from aigv_reward.corpus.preparation import worker_settings

    places = worker_settings(settings, workers, len(corpus.items))
    ahead = 0 if settings.device == "cpu" or corpus.dataset is not None else 2
    score_missing(run, corpus, places, part, limits, ahead=ahead, progress=progress)
    return run

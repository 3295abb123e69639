"""A whole corpus scored by a Ray cluster, into the same run folder as by one machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Literal

from aigv_reward.corpus import (
    ElsewhereSettings,
    Limits,
    Meter,
    Progress,
    Run,
    check_counts,
    plan_corpus,
)
from aigv_reward.integrations.ray.cluster import check_device, cluster, default_device, ray, room
from aigv_reward.integrations.ray.shard_actor import ShardActor
from aigv_reward.integrations.ray.shard_driver import ShardDriver


def score_corpus_on_ray(
    inputs: Any,
    out: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | None = None,
    workers: int | Literal["auto"] = "auto",
    part: tuple[int, int] = (1, 1),
    dimensions: Sequence[str] | None = None,
    clips: int = 1,
    batch_size: int | None = None,
    item_timeout: float = 120.0,
    item_memory: float = 8.0,
    shard_size: int | None = None,
    verify: bool = True,
    root: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Score every video of an input into a run folder with a Ray cluster; call it again to go on.

    The run is that of `score_corpus`: the same plan, shard files and rows, to the bit on a CPU, so
    either may go on with what the other began, or both may work on it at once. The run folder,
    the videos and a checkpoint that is a folder have to be on a file system that all machines
    share, and every machine needs the libraries of the plan.

    The cluster is the one that this process has joined (`ray.init`), else that of RAY_ADDRESS or
    the one that runs on this machine, else a new one of this machine alone.

    Args:
        inputs: see `score_corpus`; a `datasets.Dataset` only if its rows are paths of files.
        out: the run folder: new, empty, or this very run's.
        checkpoint: the bundled default, a folder, or a hub id.
        device: "cuda" or "cpu"; None for cuda where the cluster has GPUs.
        workers: actors; "auto": one a GPU, or one a CPU as far as memory reaches, less one CPU
            that stays free.
        part: (i, n), the i-th of n parts of the plan, from 1.
        dimensions: what to score, default all that the checkpoint answers.
        clips: windows of each video whose scores are averaged.
        batch_size: videos that go through the model at once; default 1 on the CPU, else 8.
        item_timeout: seconds after which a video is given up.
        item_memory: GiB by which the process that scores may grow beyond its loaded model.
        shard_size: rows of a file, default up to 256; an actor takes one after another.
        verify: decode every frame, and refuse a video with fewer than its header declares.
        root: what relative paths of lists start from; default each list's folder.
        progress: is called about every second; shards count when they are complete.

    Returns:
        The run, complete in the part that was asked for.

    Raises:
        ValueError: bad arguments or input, a folder whose run was planned otherwise, or that a
            machine of the cluster does not see.
        PoolError: no cluster can be joined, actors cannot be started, or one has other libraries
            or another checkpoint.
        OSError: the run folder cannot be written; run again after making room.
    """
    check_counts(workers, part)
    limits = Limits(item_timeout, item_memory)
    with cluster():
        device = device or default_device()
        check_device(device)
        planned = plan_corpus(
            inputs,
            os.path.abspath(out),
            checkpoint=checkpoint,
            device=device,
            dimensions=dimensions,  # type: ignore[arg-type]
            clips=clips,
            batch_size=batch_size,
            shard_size=shard_size,
            verify=verify,
            root=root,
            here=False,
        )
        if any(item.kind == "dataset" for item in planned.corpus.items):
            raise ValueError(
                "the data set holds its videos in this process's memory, which a cluster does not "
                "share; save it with save_to_disk and name the folder"
            )
        count = room(device, planned.worker_bytes) if workers == "auto" else workers
        settings = ElsewhereSettings.of(planned, checkpoint)
        score_missing_on_ray(planned.run, settings, device, count, part, limits, progress)
    return planned.run


def score_missing_on_ray(
    run: Run,
    settings: Any,
    device: str,
    count: int,
    part: tuple[int, int],
    limits: Limits,
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Score the shards of a part that no file is there for, until all are.

    Args:
        run: the run.
        settings: what loads the scorer in an actor.
        device: an actor takes a GPU for "cuda".
        count: actors.
        part: (i, n).
        limits: of a video.
        progress: see `score_corpus_on_ray`.
    """
    gpu = device == "cuda"
    # Deaths are the driver's to count: a restart by Ray would hide what the actor died of.
    kind = ray.remote(ShardActor).options(
        num_cpus=1,
        num_gpus=int(gpu),
        max_restarts=0,
        max_task_retries=0,
        scheduling_strategy="SPREAD",
    )
    total = sum(run.rows_of(shard) for shard in run.shards(part))
    before = total - sum(run.rows_of(shard) for shard in run.missing(part))

    def start() -> Any:
        return kind.remote(str(run.folder), settings, limits, 2 if gpu else 0)

    ShardDriver(run, start, count, Meter(total, before, progress)).score(part)

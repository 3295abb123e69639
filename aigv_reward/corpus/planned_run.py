"""A run that is planned and not yet scored: its folder, its videos, and what scores them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigv_reward.corpus.inputs import Corpus, find_corpus
from aigv_reward.corpus.plan import FORMAT, shard_size_for, versions
from aigv_reward.corpus.run_creation import create_run
from aigv_reward.corpus.run_folder import Run
from aigv_reward.dimensions import Dimension

if TYPE_CHECKING:
    from aigv_reward.corpus.item_scoring import ScorerSettings


@dataclass(frozen=True)
class PlannedRun:
    """A run with what it takes to score it.

    Attributes:
        run: the folder.
        corpus: the videos.
        settings: what loads the scorer in any process of this machine.
    """

    run: Run
    corpus: Corpus
    settings: ScorerSettings

    @property
    def worker_bytes(self) -> int:
        """Memory of a worker."""
        from aigv_reward.corpus.preparation import worker_bytes

        return worker_bytes(Path(self.settings.checkpoint))


def plan_corpus(
    inputs: Any,
    out: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str | None = None,
    dimensions: Sequence[Dimension] | None = None,
    clips: int = 1,
    batch_size: int | None = None,
    shard_size: int | None = None,
    verify: bool = True,
    root: str | os.PathLike[str] | None = None,
    here: bool = True,
) -> PlannedRun:
    """Make a run folder without scoring anything, or open the one of this very plan.

    Args:
        inputs: as `score_corpus` has it, like all that follow.
        out: the run folder.
        checkpoint: what scores.
        device: as torch names it.
        dimensions: what to score.
        clips: windows of each video.
        batch_size: videos that go through the model at once.
        shard_size: rows of a file.
        verify: decode every frame.
        root: what relative paths of lists start from.
        here: whether this machine scores, and must have the device.

    Raises:
        ValueError: bad arguments or input, or a folder whose run was planned otherwise.
        OSError: the run folder cannot be written.
    """
    for name, value in (("clips", clips), ("batch_size", batch_size), ("shard_size", shard_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    corpus = find_corpus(inputs, root=root)
    from aigv_reward.corpus.preparation import settings_for

    settings, facts = settings_for(checkpoint, device, dimensions, clips, verify, here=here)
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
    return PlannedRun(create_run(out, plan, corpus.items), corpus, settings)


def check_counts(workers: int | str, part: tuple[int, int]) -> None:
    """Refuse what no engine can do.

    Raises:
        ValueError: no number of workers, or no part of a plan.
    """
    if workers != "auto" and (not isinstance(workers, int) or workers < 1):
        raise ValueError(f"workers is {workers!r}; give 1 or more, or auto")
    if not 1 <= part[0] <= part[1]:
        raise ValueError(f"part {part[0]}/{part[1]}: i of i/n runs from 1 to n")

"""Shards of a run scored by processes that another system starts, on any machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aigv_reward.corpus.claims import Claims
from aigv_reward.corpus.inputs import Corpus
from aigv_reward.corpus.limits import Limits
from aigv_reward.corpus.plan import difference, files_sha256, versions
from aigv_reward.corpus.planned_run import PlannedRun
from aigv_reward.corpus.pool import Pool
from aigv_reward.corpus.rows import Measured, failure
from aigv_reward.corpus.run_folder import CLAIMS_FILE, Run
from aigv_reward.corpus.shard_feed import ShardFeed
from aigv_reward.corpus.worker import Scorer, Settings, Unit

if TYPE_CHECKING:
    from aigv_reward.corpus.item_scoring import ScorerSettings


@dataclass(frozen=True)
class ElsewhereSettings:
    """What loads the scorer on another machine, where it must be the very same.

    Attributes:
        settings: those of the machine that planned; the checkpoint is looked for anew.
        checkpoint: None for the bundled default, an absolute folder, or a hub id.
        sha256: of the checkpoint, from the plan.
        versions: of the libraries, from the plan.
    """

    settings: ScorerSettings
    checkpoint: str | None
    sha256: str
    versions: Mapping[str, str | None]

    @classmethod
    def of(
        cls, planned: PlannedRun, checkpoint: str | os.PathLike[str] | None
    ) -> ElsewhereSettings:
        """The settings of a planned run, with the checkpoint as the caller named it."""
        name = None if checkpoint is None else os.fspath(checkpoint)
        if name is not None and Path(name).is_dir():
            name = str(Path(name).resolve())
        plan = planned.run.plan
        return cls(planned.settings, name, plan["checkpoint"]["sha256"], plan["versions"])

    def load(self) -> Scorer:
        """The scorer, with its model loaded.

        Raises:
            ValueError: this machine's libraries or checkpoint are not those of the plan.
        """
        from aigv_reward.corpus.preparation import checkpoint_folder

        if (said := difference(dict(self.versions), versions(), "version")) is not None:
            raise ValueError(f"{said} on this machine; install what the plan says")
        folder = checkpoint_folder(self.checkpoint)
        if (found := files_sha256(folder)) != self.sha256:
            raise ValueError(
                f"checkpoint {str(folder)!r} has the sha256 {found} on this machine, the plan "
                f"{self.sha256}; give every machine the same files"
            )
        return replace(self.settings, checkpoint=str(folder)).load()


class ShardWorker:
    """Scores shards in a supervised process of its own, which outlives the shard.

    A video that ends or delays that process costs this one nothing and becomes one row.

    Args:
        folder: of the run, on a file system that all who score it share.
        settings: what loads the scorer.
        limits: of a video, beyond which its process is killed.
        ahead: units that are decoded while another is scored.

    Raises:
        ValueError: no run there.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        settings: Settings,
        *,
        limits: Limits,
        ahead: int = 0,
    ) -> None:
        self.run = Run(folder)
        self.pool = Pool([settings], limits=limits, ahead=ahead, keep=True)

    def score(self, shard: int) -> int | None:
        """Score a shard and write its file, unless that is there.

        Returns:
            Rows without scores among those scored now; None if another process has the shard.

        Raises:
            PoolError: the model cannot be loaded.
            OSError: the file cannot be written.
        """
        with Claims(self.run.folder / CLAIMS_FILE) as claims:
            feed = ShardFeed(self.run, Corpus(()), claims, [shard])
            self.pool.run(feed.units(), feed.done)
        return feed.meter.failed if self.run.shard_path(shard).exists() else None

    def measure(self, ordinal: int) -> Measured:
        """The columns of one video, with nothing else under way; nothing is written."""
        shard = ordinal // int(self.run.plan["shard_size"])
        item = dict(self.run.items_of(shard))[ordinal]
        rows: dict[int, Measured] = {}
        unit = Unit((ordinal,), (replace(item, extra="{}"),), solo=True)
        self.pool.run(iter([unit]), rows.update)
        return rows[ordinal]

    def close(self) -> None:
        """End the process."""
        self.pool.close()


class VideoByVideo:
    """Shards whose videos are scored one at a time elsewhere, so that a death has one cause.

    Args:
        run: whose shards.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._claims = Claims(run.folder / CLAIMS_FILE)
        self._open: dict[int, dict[int, Measured]] = {}

    def open(self, shard: int) -> list[int]:
        """Claim a shard and name its videos; none if it is done or another process has it."""
        if not self._claims.take(shard):
            return []
        if self.run.shard_path(shard).exists():
            self._claims.give(shard)
            return []
        self._open[shard] = {}
        return [ordinal for ordinal, _ in self.run.items_of(shard)]

    def add(self, ordinal: int, measured: Measured) -> None:
        """Keep a video's columns, and write the shard if they were the last.

        Raises:
            OSError: the file cannot be written.
        """
        shard = ordinal // int(self.run.plan["shard_size"])
        kept = self._open[shard]
        kept[ordinal] = measured
        if len(kept) == self.run.rows_of(shard):
            self.run.commit(shard, self._open.pop(shard))
            self._claims.give(shard)

    def add_crash(self, ordinal: int, reason: str) -> Measured:
        """Keep that a video ended whatever scored it; returns its columns."""
        measured = failure("crash", "WorkerDied", reason)
        self.add(ordinal, measured)
        return measured

    def close(self) -> None:
        """Give up what is claimed."""
        self._claims.__exit__(None, None, None)

"""The folder of a run: its plan, its videos, and a Parquet file for every shard that is done."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from aigv_reward.corpus.durable import write_whole
from aigv_reward.corpus.item import Item
from aigv_reward.corpus.plan import digest, read_items, read_plan
from aigv_reward.corpus.rows import SCHEMA, STATUSES, Measured, pa, parquet_bytes, pq, table_of

PLAN_FILE: Final = "plan.json"
ITEMS_FILE: Final = "items.jsonl"
CLAIMS_FILE: Final = "claims.lock"
SHARDS: Final = "shards"


@dataclass(frozen=True)
class Summary:
    """How many videos a run has scored; `total` is always the sum of the four.

    Attributes:
        ok, error, timeout, crash: rows of that status.
        planned: videos of the plan (of the part that was asked for); `total` once it is finished.
    """

    ok: int
    error: int
    timeout: int
    crash: int
    planned: int

    @property
    def total(self) -> int:
        """Rows."""
        return self.ok + self.error + self.timeout + self.crash

    @property
    def failed(self) -> int:
        """Rows without scores."""
        return self.total - self.ok


class Run:
    """A run that was planned.

    A shard's file is the record that it is done: it is written under another name, made durable
    and renamed. Whoever scores shards, a local pool or a cluster, needs `missing`, `items_of` and
    `commit`.

    Args:
        folder: that `create_run` made.

    Raises:
        ValueError: no run, or one of a format that this version of the package does not read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            content = (self.folder / PLAN_FILE).read_bytes()
        except OSError as error:
            raise ValueError(
                f"{str(folder)!r} is no run ({error.strerror or error}); make one with "
                "aigv-reward score INPUT --out RUN"
            ) from error
        self.plan: dict[str, Any] = read_plan(content, self.folder)
        self.digest = digest(content)

    @property
    def total(self) -> int:
        """Videos."""
        return int(self.plan["input"]["total"])

    @property
    def num_shards(self) -> int:
        """Parts that the plan cuts the videos into."""
        return -(-self.total // int(self.plan["shard_size"]))

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """Every video, in order."""
        return tuple(read_items(self.folder / ITEMS_FILE))

    def items_of(self, shard: int) -> list[tuple[int, Item]]:
        """The videos of a shard with their ordinals."""
        start = shard * int(self.plan["shard_size"])
        # Of the file, so that a process that scores shards does not hold a million videos.
        return list(
            enumerate(read_items(self.folder / ITEMS_FILE, start, self.rows_of(shard)), start)
        )

    def item(self, ordinal: int) -> Item:
        """One video."""
        return next(read_items(self.folder / ITEMS_FILE, ordinal, 1))

    def rows_of(self, shard: int) -> int:
        """How many videos a shard has."""
        size = int(self.plan["shard_size"])
        return min(size, self.total - shard * size)

    def shard_path(self, shard: int) -> Path:
        """Where a shard's rows are, once it is done."""
        return self.folder / SHARDS / f"{shard:06d}.parquet"

    def shards(self, part: tuple[int, int] = (1, 1)) -> list[int]:
        """The shards of part i of n, 1 to n."""
        return list(range(part[0] - 1, self.num_shards, part[1]))

    def missing(self, part: tuple[int, int] = (1, 1)) -> list[int]:
        """The shards that are not done."""
        folder = self.folder / SHARDS
        done = {name.name for name in os.scandir(folder)} if folder.exists() else set()
        return [k for k in self.shards(part) if self.shard_path(k).name not in done]

    def commit(self, shard: int, measured: Mapping[int, Measured]) -> None:
        """Write a shard's rows, durably and at once.

        Args:
            shard: which.
            measured: {ordinal: columns from `status` on} of every video of it.

        Raises:
            OSError: the disk is full, or fails.
        """
        table = table_of(self.items_of(shard), measured, self.plan["checkpoint"]["sha256"])
        path = self.shard_path(shard)
        path.parent.mkdir(exist_ok=True)
        try:
            write_whole(path, parquet_bytes(table, self.digest))
        except FileNotFoundError:
            # Without locks another runner may have written the same rows, and tidied up.
            if not path.exists():
                raise
        for left in path.parent.glob(f".{path.name}.*.part"):
            left.unlink(missing_ok=True)

    def read(
        self, columns: Sequence[str] | None = None, *, part: tuple[int, int] = (1, 1)
    ) -> pa.Table:
        """The rows that are done, in the order of the input.

        Raises:
            ValueError: a shard that belongs to another plan, or has not as many rows as planned.
        """
        tables = []
        missing = set(self.missing(part))
        for shard in self.shards(part):
            if shard in missing:
                continue
            path = self.shard_path(shard)
            table = pq.read_table(path)
            found = (table.schema.metadata or {}).get(b"aigv_reward.plan", b"").decode()
            rows = self.rows_of(shard)
            if found != self.digest or table.num_rows != rows:
                raise ValueError(
                    f"{str(path)!r} does not belong to this run's plan ({table.num_rows} rows of "
                    f"{rows}, plan {found[:12] or 'none'}); delete it and score again"
                )
            tables.append(table.replace_schema_metadata(None))
        table = pa.concat_tables(tables) if tables else SCHEMA.empty_table()
        return table if columns is None else table.select(list(columns))

    def finished(self) -> pa.Table:
        """All rows.

        Raises:
            ValueError: the run is not finished.
        """
        if missing := self.missing():
            raise ValueError(
                f"run {str(self.folder)!r} is not finished: {len(missing)} of {self.num_shards} "
                "shards are missing; run the same aigv-reward score command again"
            )
        return self.read()

    def summary(self, part: tuple[int, int] = (1, 1)) -> Summary:
        """What is done so far."""
        counts = Counter(self.read(["status"], part=part)["status"].to_pylist())
        planned = sum(self.rows_of(shard) for shard in self.shards(part))
        return Summary(**{name: counts[name] for name in STATUSES}, planned=planned)

"""What a command says about one video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aigv_reward.dimensions import Dimension

DECIMALS: Final = 6
"""Of a score in JSON and csv; scores repeat to 1e-5."""


@dataclass(frozen=True)
class Row:
    """The scores of one video, or why it has none.

    Attributes:
        video: its path, as given or found.
        scores: {dimension: score}, empty if it failed.
        windows: {dimension: score of each window}, when several were asked for.
        error: one line, if it failed.
        rank: 1 for the best, None where nothing is ranked or it failed.
        weighted: the sum that it is ranked by, None where there is no such sum or it failed.
    """

    video: str
    scores: dict[Dimension, float]
    windows: dict[Dimension, list[float]] | None = None
    error: str | None = None
    rank: int | None = None
    weighted: float | None = None


@dataclass(frozen=True)
class Columns:
    """What is known about all rows before the first one.

    Attributes:
        dimensions: what is scored, in the order it is printed.
        untrained: those of them that the checkpoint was not trained for.
        ranked: rows have a rank.
        weighted: rows have a weighted sum.
    """

    dimensions: tuple[Dimension, ...]
    untrained: tuple[Dimension, ...] = ()
    ranked: bool = False
    weighted: bool = False

    def record(self, row: Row) -> dict[str, Any]:
        """The row as plain values in the order they are printed; what failed is None."""
        record: dict[str, Any] = {"rank": row.rank} if self.ranked else {}
        record["video"] = row.video
        for name in self.dimensions:
            record[name] = None if row.error is not None else round(row.scores[name], DECIMALS)
        if self.weighted:
            record["weighted"] = None if row.weighted is None else round(row.weighted, DECIMALS)
        return record

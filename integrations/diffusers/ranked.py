"""Candidates in the order of their reward."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

_ROWS = 10  # of a repr


@dataclass(frozen=True, eq=False, repr=False)
class Ranked:
    """Candidates of one prompt, scored and ranked.

    Candidate i is the video of `seeds[i]`; `order[0]` is the best one.

    Attributes:
        frames: (K, T, 3, H, W) in [0, 1], the K best candidates, best first, on the CPU.
        scores: {dimension: (N,)} of all candidates, "reward" for a reward without dimensions.
        total: (N,), what they are ranked by.
        seeds: of all candidates.
        order: candidates from best to worst; of equals the one of the lower seed comes first.
        interrupted: seeds whose run a filter ended before there was a video; they are not among
            the N.
        untrained: those of `scores` that the reward's checkpoint was not trained for.
    """

    frames: Tensor
    scores: dict[str, Tensor]
    total: Tensor
    seeds: list[int]
    order: list[int]
    interrupted: list[int] = field(default_factory=list)
    untrained: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, float | int]]:
        """One plain dict a candidate, best first: rank (from 1), seed, total, dimensions."""
        return [
            {
                "rank": rank,
                "seed": self.seeds[index],
                "total": float(self.total[index]),
                **{name: float(column[index]) for name, column in self.scores.items()},
            }
            for rank, index in enumerate(self.order, start=1)
        ]

    def label(self, name: str) -> str:
        """What a column is called where it is shown: an asterisk marks what was not trained."""
        return f"{name}*" if name in self.untrained else name

    def __repr__(self) -> str:
        stopped = f", {len(self.interrupted)} interrupted" if self.interrupted else ""
        rows = self.rows()
        names = list(map(self.label, rows[0]))
        table = [names, *([_cell(value) for value in row.values()] for row in rows[:_ROWS])]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [f"Ranked({len(rows)} candidates{stopped}; frames {tuple(self.frames.shape)})"]
        for cells in table:
            lines.append("  ".join(c.rjust(width) for c, width in zip(cells, widths, strict=True)))
        if len(rows) > _ROWS:
            lines.append(f"... and {len(rows) - _ROWS} more")
        if self.untrained:
            lines.append(f"* not trained in this checkpoint: {', '.join(self.untrained)}")
        return "\n".join(lines)


def _cell(value: float | int) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)

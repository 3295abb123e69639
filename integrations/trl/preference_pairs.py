"""Which candidates of a prompt make a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Strategy = Literal["best_worst", "all", "pareto"]


@dataclass(frozen=True)
class Pair:
    """Two candidates by their index; `margin` is the difference of their totals."""

    chosen: int
    rejected: int
    margin: float


def pairs_of(
    totals: Sequence[float],
    values: Sequence[Mapping[str, float]],
    *,
    strategy: Strategy,
    min_margin: float,
) -> list[Pair]:
    """The pairs among the candidates of one prompt, the widest margin first.

    A pair's margin is at least `min_margin` and above 0. Ties go to the candidate that comes
    first, so that the result depends on nothing else.

    Args:
        totals: of each candidate.
        values: {dimension: score} of each candidate; for "pareto".
        strategy: "best_worst": at most one pair. "all": every pair. "pareto": every pair whose
            chosen side is better in each dimension.
        min_margin: least difference of totals; for "pareto", of every dimension as well.

    Raises:
        ValueError: an unknown strategy, a `min_margin` that is not 0 or more, or for "pareto"
            candidates of different dimensions.
    """
    if strategy not in get_args(Strategy):
        raise ValueError(f"strategy is {strategy!r}; choose {', '.join(get_args(Strategy))}")
    if not 0 <= min_margin < float("inf"):
        raise ValueError(f"min_margin is {min_margin}; it must be 0 or more")
    for row in values if strategy == "pareto" else ():
        if row.keys() != values[0].keys():
            raise ValueError(
                f"a candidate is scored in {', '.join(values[0])} and another in "
                f"{', '.join(row)}; pareto compares what all have, so name it with dimensions=[...]"
            )
    order = sorted(range(len(totals)), key=lambda index: (-totals[index], index))
    found = [
        Pair(better, worse, totals[better] - totals[worse])
        for place, better in enumerate(order)
        for worse in order[place + 1 :]
        if strategy != "best_worst" or (better, worse) == (order[0], order[-1])
    ]
    kept = [pair for pair in found if pair.margin > 0 and pair.margin >= min_margin]
    if strategy == "pareto":
        kept = [p for p in kept if _dominates(values[p.chosen], values[p.rejected], min_margin)]
    return sorted(kept, key=lambda pair: (-pair.margin, pair.chosen, pair.rejected))


def _dominates(better: Mapping[str, float], worse: Mapping[str, float], least: float) -> bool:
    gains = [better[name] - worse[name] for name in better]
    return all(gain > 0 and gain >= least for gain in gains)

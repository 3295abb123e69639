"""Percentile bootstrap intervals of several measures at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Draw = Callable[[np.random.Generator], Indices]
Measure = Callable[[Indices], Mapping[str, float]]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        resamples: how many samples are drawn with replacement; 0 for no intervals.
        seed: of the draws; every interval starts from it anew.
        confidence: share of the resamples that an interval spans, the rest split between its ends.

    Raises:
        ValueError: fewer than 0 resamples, or a confidence that is not between 0 and 1.
    """

    resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.resamples < 0:
            raise ValueError(f"resamples={self.resamples}; draw 0 (no intervals) or more")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence={self.confidence} must lie between 0 and 1, e.g. 0.95")


@dataclass(frozen=True)
class Estimate:
    """A measure with its interval.

    Attributes:
        value: of the whole sample; None where it is undefined.
        low, high: ends of the interval; None without resamples, or where fewer than half of them
            define the measure.
        undefined: resamples that left it undefined and that the interval does not count.
        reason: why there is no value.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    undefined: int = 0
    reason: str | None = None


def estimate(
    values: Mapping[str, float],
    measure: Measure,
    draw: Draw,
    bootstrap: Bootstrap,
    *,
    reasons: Mapping[str, str] | None = None,
) -> dict[str, Estimate]:
    """{name: value with interval}; all measures see the same resamples.

    Args:
        values: {name: measure of the whole sample}, nan where it is undefined.
        measure: {name: value} of the members at some indices, nan where undefined.
        draw: one resample, as indices.
        bootstrap: how many, from which seed, which interval.
        reasons: {name: why its value is nan}.
    """
    generator = np.random.default_rng(bootstrap.seed)
    columns: dict[str, list[float]] = {name: [] for name in values}
    for _ in range(bootstrap.resamples):
        resampled = measure(draw(generator))
        for name, column in columns.items():
            column.append(resampled[name])
    return {
        name: _estimate(value, columns[name], bootstrap, (reasons or {}).get(name))
        for name, value in values.items()
    }


def _estimate(
    value: float, resampled: Sequence[float], bootstrap: Bootstrap, reason: str | None
) -> Estimate:
    if math.isnan(value):
        return Estimate(None, reason=reason)
    defined = [one for one in resampled if not math.isnan(one)]
    undefined = len(resampled) - len(defined)
    if 2 * len(defined) < max(1, len(resampled)):
        return Estimate(value, undefined=undefined)
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), undefined)


def members(count: int) -> Draw:
    """Draws `count` of 0..count-1, with replacement."""
    return lambda generator: generator.integers(count, size=count)


def clusters(labels: Sequence[Hashable]) -> Draw:
    """Draws as many labels as there are, with replacement, and takes all members of each.

    For members that are not independent, such as pairs of one prompt.
    """
    groups = by_label(labels)

    def draw(generator: np.random.Generator) -> Indices:
        drawn = generator.integers(len(groups), size=len(groups))
        return np.concatenate([groups[index] for index in drawn])

    return draw


def within(labels: Sequence[Hashable]) -> Draw:
    """Draws from each label's members as many as it has, with replacement."""
    groups = by_label(labels)

    def draw(generator: np.random.Generator) -> Indices:
        return np.concatenate([g[generator.integers(len(g), size=len(g))] for g in groups])

    return draw


def by_label(labels: Sequence[Hashable]) -> list[Indices]:
    """Indices of the members of each label, labels in order of their first member."""
    found: dict[Hashable, list[int]] = {}
    for index, label in enumerate(labels):
        found.setdefault(label, []).append(index)
    return [np.asarray(indices, dtype=np.int64) for indices in found.values()]

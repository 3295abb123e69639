"""How often each score occurs, as inline SVG with a line at each threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

BINS: Final = 40
WIDTH, LEFT, RIGHT = 420, 44, 412
TALL, LINE, BELOW = 112, 14, 22
"""Pixels of the tallest bar, of a threshold's label, and of the axis."""


@dataclass(frozen=True)
class Line:
    """A threshold: the score that it comes to, and what it is called."""

    score: float
    label: str


def histogram(
    name: str,
    kept: Sequence[float],
    removed: Sequence[float],
    lines: Sequence[Line],
    *,
    room: int,
) -> str:
    """A card with the histogram of one dimension; its range takes in the thresholds.

    Args:
        name: of the dimension.
        kept: scores of the videos that are kept, or of all where no rules are applied.
        removed: those of the others, which stand on top.
        lines: thresholds.
        room: for labels of so many of them, so that cards side by side are alike.
    """
    scores = np.array([*kept, *removed], dtype=np.float64)
    title = f"<h3>{escape(name)}</h3>"
    if not len(scores):
        return f"<div class='card'>{title}<p class='soft'>no scores</p></div>"
    marks = [*scores, *(line.score for line in lines)]
    low, high = float(min(marks)), float(max(marks))
    if low == high:
        low, high = low - 0.5, high + 0.5
    below, _ = np.histogram(np.asarray(kept, dtype=np.float64), bins=BINS, range=(low, high))
    every, edges = np.histogram(scores, bins=BINS, range=(low, high))
    base = 12 + LINE * max(room, len(lines)) + TALL
    most = int(every.max())

    def across(score: float) -> float:
        return LEFT + (score - low) / (high - low) * (RIGHT - LEFT)

    drawn = ""
    for count in ticks(0, most, steps=2):
        if count and count == int(count):
            y = base - TALL * count / most
            drawn += (
                f"<path class='rule' d='M{LEFT} {y:.1f}H{RIGHT}'/>"
                f"<text x='{LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{int(count):,}</text>"
            )
    drawn += f"<path class='axis' d='M{LEFT} {base}H{RIGHT}'/>"
    for score in ticks(low, high, steps=3):
        drawn += (
            f"<text x='{across(score):.1f}' y='{base + 16}' text-anchor='middle'>{score:g}</text>"
        )
    for part, all_, start, end in zip(below, every, edges, edges[1:], strict=False):
        said = f"{start:.2f} to {end:.2f}: {all_} videos"
        said += f", {part} of them kept" if len(removed) else ""
        x, wide = across(start) + 0.5, across(end) - across(start) - 1
        for count, under, kind in ((part, 0, "bar"), (all_ - part, part, "bar gone")):
            if count:
                drawn += (
                    f"<rect class='{kind}' x='{x:.1f}' width='{wide:.1f}' "
                    f"y='{base - (under + count) / most * TALL:.1f}' "
                    f"height='{count / most * TALL:.1f}'><title>{said}</title></rect>"
                )
    for place, line in enumerate(lines):
        x, y = across(line.score), 4 + LINE * (place + 1)
        side = "end" if x > (LEFT + RIGHT) / 2 else "start"
        drawn += (
            f"<path class='mark' d='M{x:.1f} {y - 9}V{base}'/><text class='marked' "
            f"x='{x + (-5 if side == 'end' else 5):.1f}' y='{y}' text-anchor='{side}'>"
            f"{escape(line.label)}</text>"
        )
    return (
        f"<div class='card'><div class='head'>{title}<span class='soft'>mean {scores.mean():.2f}, "
        f"median {np.median(scores):.2f}, {scores.min():.2f} to {scores.max():.2f}</span></div>"
        f"<svg class='histogram' viewBox='0 0 {WIDTH} {base + BELOW}' role='img' "
        f"aria-label='Histogram of {escape(name)}'>{drawn}</svg></div>"
    )


def ticks(low: float, high: float, *, steps: int) -> list[float]:
    """Round numbers within a range, which has room for at least so many steps of them."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= max(factor for factor in (1, 2, 5) if factor * step * steps <= high - low)
    places = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [round(place * step, 10) for place in places]

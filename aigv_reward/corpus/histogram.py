"""How often each score occurs, as inline SVG with a line at each threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

BINS: Final = 32
WIDTH, HEIGHT, BASE = 320, 150, 128


@dataclass(frozen=True)
class Line:
    """A threshold: the score that it comes to, and what it is called."""

    score: float
    label: str


def histogram(name: str, scores: Sequence[float], lines: Sequence[Line]) -> str:
    """A card with the histogram of one dimension; its range takes in the thresholds."""
    if not scores:
        return f"<div class='card'><h3>{escape(name)}</h3><p class='soft'>no scores</p></div>"
    marks = [*scores, *(line.score for line in lines)]
    low, high = min(marks), max(marks)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(np.asarray(scores), bins=BINS, range=(low, high))
    most, wide = int(counts.max()), WIDTH / BINS
    bars = ""
    for place, count in enumerate(counts.tolist()):
        if count:
            tall = count / most * 110
            bars += (
                f"<rect x='{place * wide:.1f}' y='{BASE - tall:.1f}' width='{wide - 1:.1f}' "
                f"height='{tall:.1f}'><title>{count}</title></rect>"
            )
    for line in lines:
        x = (line.score - low) / (high - low) * WIDTH
        bars += (
            f"<line x1='{x:.1f}' x2='{x:.1f}' y1='4' y2='{BASE}'>"
            f"<title>{escape(line.label)}: {line.score:.4g}</title></line>"
        )
    mean = float(np.mean(scores))
    return (
        f"<div class='card'><h3>{escape(name)}</h3><svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' "
        f"aria-label='Histogram of {escape(name)}'>{bars}"
        f"<text x='0' y='{HEIGHT - 4}'>{low:.2f}</text>"
        f"<text x='{WIDTH / 2}' y='{HEIGHT - 4}' text-anchor='middle'>mean {mean:.2f}</text>"
        f"<text x='{WIDTH}' y='{HEIGHT - 4}' text-anchor='end'>{high:.2f}</text></svg></div>"
    )

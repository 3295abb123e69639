"""Small line plots as inline SVG, coloured by the page's style so that they suit light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 300, 150
LEFT, RIGHT, TOP, BOTTOM = 36, 8, 8, 22
MINUS = "\N{MINUS SIGN}"


def line_plot(
    series: Mapping[str, Sequence[float]],
    labels: Sequence[str],
    *,
    span: tuple[float, float],
    emphasised: str | None,
    title: str,
) -> str:
    """One line a series over evenly spaced places; series k has the class `s{k}`.

    Args:
        series: {name: one value a label}.
        labels: below the places on the horizontal axis.
        span: range of the vertical axis; it is widened to round numbers.
        emphasised: the series that is drawn thick, last and with dots; None for all alike.
        title: what a screen reader says.
    """
    ticks = round_ticks(*span)
    bottom, top = ticks[0], ticks[-1]

    def x(index: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * index / max(1, len(labels) - 1)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (top - value) / (top - bottom)

    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title, quote=True)}">'
    ]
    for tick in ticks:
        kind, label = "zero" if tick == 0 else "rule", f"{tick:g}".replace("-", MINUS)
        parts.append(
            f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" '
            f'y2="{y(tick):.1f}"/><text class="tick" x="{LEFT - 6}" y="{y(tick) + 3.5:.1f}" '
            f'text-anchor="end">{f"{tick:g}".replace("-", MINUS)}</text>'
        )
    for index, label in enumerate(labels):
        place = "end" if index == len(labels) - 1 else "middle" if index else "start"
        parts.append(
            f'<text class="tick" x="{x(index):.1f}" y="{HEIGHT - 6}" text-anchor="{place}">'
            f"{escape(label)}</text>"
        )
    order = sorted(enumerate(series.items()), key=lambda item: item[1][0] == emphasised)
    for number, (name, values) in order:
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(values))
        loud = emphasised in (None, name)
        parts.append(
            f'<g class="s{number} {"loud" if loud else "quiet"}"><title>{escape(name)}</title>'
            f'<polyline points="{points}"/>'
        )
        if loud:
            parts += [
                f'<circle cx="{x(i):.1f}" cy="{y(value):.1f}" r="2.6"/>'
                for i, value in enumerate(values)
            ]
        parts.append("</g>")
    return "".join([*parts, "</svg>"])


def round_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most about `most` round numbers from one at or below `low` to one at or above `high`."""
    span = high - low
    if span <= 0:
        low, span = low - 0.5, 1.0
    raw = span / (most - 1)
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(f * scale for f in (1, 2, 2.5, 5, 10) if f * scale >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil((low + span) / step - 1e-9)
    return [round(step * k, 10) for k in range(first, last + 1)]

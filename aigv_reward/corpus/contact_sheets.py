"""The videos at the ends of a dimension and at its thresholds, as small clips in the page."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any, Final

from aigv_reward.corpus.histogram import Line
from aigv_reward.corpus.previews import Previews

SHOWN: Final = 4

Row = Mapping[str, Any]


def contact_sheets(
    rows: Sequence[Row],
    names: Mapping[str, str],
    lines: Mapping[str, Sequence[Line]],
    removed: Collection[int],
    previews: Previews,
) -> str:
    """For each dimension: the lowest, those nearest to each threshold, the highest.

    Args:
        rows: those with scores.
        names: {dimension: what the page calls it}.
        lines: {dimension: its thresholds}.
        removed: ordinals of rows that the rules do not keep.
        previews: what makes the clips.
    """
    sections = ""
    for name, label in names.items():
        scored = sorted((row for row in rows if row[name] is not None), key=lambda row: row[name])
        groups = {"lowest": scored[: min(SHOWN, (len(scored) + 1) // 2)]}
        for line in lines.get(name, ()):
            near = sorted(scored, key=lambda row: abs(row[name] - line.score))[:SHOWN]
            groups[f"at the threshold {line.label}"] = sorted(near, key=lambda row: row[name])
        groups["highest"] = scored[::-1][: min(SHOWN, len(scored) // 2)]
        sheets = "".join(
            f"<section><h4>{escape(said)}</h4><div class='sheet'>"
            f"{''.join(_figure(row, name, removed, previews) for row in some)}</div></section>"
            for said, some in groups.items()
            if some
        )
        if sheets:
            head = f"<h3>{escape(label)}</h3>"
            sections += f"<div class='card'>{head}<div class='sheets'>{sheets}</div></div>"
    if not sections:
        return ""
    return (
        "<h2>Examples</h2><p class='soft'>Point at a picture, or tap it, to play the middle of the "
        f"clip in small.</p><div class='stack'>{sections}</div>"
    )


def _figure(row: Row, name: str, removed: Collection[int], previews: Previews) -> str:
    place = int(row["ordinal"])
    made = previews.add(row)
    if made is None:
        why = previews.failures.get(place, "the page is full")
        picture = f"<p class='frame soft'>{escape(why)}</p>"
    else:
        picture = (
            f"<button class='frame' data-preview='{place}' aria-label='play'>"
            f"<img alt='' src='{made[0]}'></button>"
        )
    whole = row["key"] if row["prompt"] is None else f"{row['key']}\n{row['prompt']}"
    gone = " <span class='tag'>removed</span>" if place in removed else ""
    return (
        f"<figure title='{escape(whole)}'>{picture}<figcaption><b>{row[name]:.2f}</b>{gone}"
        f"<span class='name'>{escape(os.path.basename(row['key']))}</span></figcaption></figure>"
    )

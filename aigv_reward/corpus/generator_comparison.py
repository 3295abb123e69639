"""How the generators compare that made the videos of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np

from aigv_reward.corpus.rows import extra_of

COLUMNS: Final = ("generator", "model")
SHOWN: Final = 50
WIDTH: Final = 120

Row = Mapping[str, Any]


def generator_of(row: Row) -> str | None:
    """Who made a row's video, by the first of `COLUMNS` that its list has."""
    extra = extra_of(row)
    return next((str(extra[name]) for name in COLUMNS if extra.get(name) is not None), None)


def generator_comparison(
    rows: Sequence[Row],
    generators: Sequence[str | None],
    names: Mapping[str, str],
    removed: Collection[int] | None,
) -> str:
    """A line a generator; nothing where the list names none.

    Args:
        rows: all of them.
        generators: of each row.
        names: {dimension: what the page calls it}.
        removed: ordinals of rows that rules do not keep; None without rules.
    """
    groups: dict[str, list[Row]] = {}
    for row, generator in zip(rows, generators, strict=True):
        if generator is not None:
            groups.setdefault(generator, []).append(row)
    if not groups:
        return ""
    largest = sorted(groups, key=lambda name: (-len(groups[name]), name))[:SHOWN]
    scales = {name: _scale([_scores(groups[one], name) for one in largest]) for name in names}
    body = ""
    for generator in sorted(largest):
        some = groups[generator]
        failed = sum(row["status"] != "ok" for row in some)
        cells = f"<td class='name'>{escape(generator)}</td>{_share(len(some), None)}"
        cells += _share(failed, None)
        if removed is not None:
            cells += _share(sum(int(r["ordinal"]) not in removed for r in some), len(some))
        for name in names:
            cells += _interval(_scores(some, name), scales[name])
        body += f"<tr>{cells}</tr>"
    heads = ["videos", "failed", *(["kept"] if removed is not None else []), *names.values()]
    head = "".join(f"<th class='n'>{escape(name)}</th>" for name in heads)
    few = f" The {SHOWN} with the most videos, of {len(groups)}." if len(groups) > SHOWN else ""
    return (
        "<h2>Generators</h2><p class='soft'>The mean score and, drawn, its 95% interval (bar) and "
        "the middle 80% of the scores (line). Means of different prompts do not compare."
        f"{few}</p><div class='card wide'><table class='sortable'><thead><tr><th>generator</th>"
        f"{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _scores(rows: Sequence[Row], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([row[name] for row in rows if row[name] is not None], dtype=np.float64)


def _scale(groups: Sequence[np.ndarray[Any, Any]]) -> tuple[float, float]:
    every = [np.percentile(scores, (10, 90)) for scores in groups if len(scores)]
    return (float(np.min(every)), float(np.max(every))) if every else (0.0, 1.0)


def _interval(scores: np.ndarray[Any, Any], scale: tuple[float, float]) -> str:
    """A cell with a mean, and where it lies on the scale that a dimension's cells share."""
    if not len(scores):
        return "<td class='n' data-key=''></td>"
    low, high = scale
    mean = float(scores.mean())
    half = 1.96 * float(scores.std(ddof=1)) / len(scores) ** 0.5 if len(scores) > 1 else 0.0
    places = np.array([*np.percentile(scores, (10, 90)), mean - half, mean + half, mean])
    places = 4 + (np.clip(places, low, high) - low) / ((high - low) or 1.0) * (WIDTH - 8)
    start, end, from_, to, at = places.tolist()
    picture = (
        f"<svg class='interval' viewBox='0 0 {WIDTH} 14' width='{WIDTH}' height='14' "
        f"aria-hidden='true'><path class='span' d='M{start:.1f} 7H{end:.1f}'/>"
        f"<path class='mean' d='M{from_:.1f} 7H{to:.1f}'/><circle cx='{at:.1f}' cy='7' r='3.5'/>"
        "</svg>"
    )
    said = f"{mean:.3f} ± {half:.3f}, {len(scores)} videos"
    return f"<td class='n' data-key='{mean}' title='{said}'>{mean:.2f}{picture}</td>"


def _share(count: int, of: int | None) -> str:
    said = f"{count:,}" if of is None else f"{count:,} <small>{count / of:.0%}</small>"
    return f"<td class='n' data-key='{count}'>{said}</td>"

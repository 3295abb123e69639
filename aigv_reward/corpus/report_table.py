"""The table of a report's rows, and the comparison of generators."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from aigv_reward.corpus.rows import extra_of
from aigv_reward.corpus.selection import Selection

ROWS_SHOWN: Final = 2000
GENERATOR: Final = ("generator", "model")

Rows = Sequence[Mapping[str, Any]]


def generators(rows: Rows, names: Sequence[str]) -> str:
    """Mean scores by the generator that the list names; nothing where it names none."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        extra = extra_of(row)
        known = [str(extra[key]) for key in GENERATOR if extra.get(key) is not None]
        if known:
            groups.setdefault(known[0], []).append(row)
    if not groups:
        return ""
    body = ""
    for generator, some in sorted(groups.items()):
        body += f"<tr><td>{escape(generator)}</td><td class='n'>{len(some)}</td>"
        for name in names:
            values = [row[name] for row in some if row[name] is not None]
            body += _number(math.fsum(values) / len(values) if values else None)
        body += "</tr>"
    return (
        "<h2>Generators</h2><p class='soft'>Mean scores.</p><div class='card'>"
        f"<table class='sortable'><thead><tr><th>generator</th><th class='n'>videos</th>"
        f"{_heads(names)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def row_table(rows: Rows, names: Sequence[str], selection: Selection | None) -> str:
    """A line a video, as many as `ROWS_SHOWN`; a click shows the file where it lies."""
    rejected = {} if selection is None else {one.row["ordinal"]: one for one in selection.rejected}
    body = ""
    for row in rows[:ROWS_SHOWN]:
        why = rejected.get(row["ordinal"])
        if row["status"] != "ok":
            verdict = f"{row['status']}: {row['error']}"
        elif why is not None:
            verdict = "; ".join(why.reasons)
        else:
            verdict = "ok" if selection is None else "kept"
        scores = "".join(_number(row[name]) for name in names)
        body += (
            f"<tr><td class='path'>{_clip(row)}</td><td class='path'>{escape(row['prompt'] or '')}"
            f"</td>{scores}<td class='path'>{escape(verdict)}</td></tr>"
        )
    left = len(rows) - ROWS_SHOWN
    more = f"<p class='soft'>The first {ROWS_SHOWN} of {len(rows)} rows.</p>" if left > 0 else ""
    return (
        f"<h2>Videos</h2>{more}<div class='card'><table class='sortable'><thead><tr><th>video</th>"
        f"<th>prompt</th>{_heads(names)}<th>verdict</th></tr></thead><tbody>{body}</tbody></table>"
        "</div>"
    )


def _clip(row: Mapping[str, Any]) -> str:
    name = escape(row["key"])
    path = os.fsdecode(row["path_bytes"])
    if not os.path.isabs(path):
        return name
    return f"<button data-clip='{escape(Path(path).as_uri())}'>{name}</button>"


def _heads(names: Sequence[str]) -> str:
    return "".join(f"<th class='n'>{escape(name)}</th>" for name in names)


def _number(value: float | None) -> str:
    return f"<td class='n'>{'' if value is None else f'{value:.3f}'}</td>"

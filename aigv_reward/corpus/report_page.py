"""The page of a run, or of a set made of it: one file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from aigv_reward.corpus.contact_sheets import contact_sheets
from aigv_reward.corpus.generator_comparison import generator_comparison, generator_of
from aigv_reward.corpus.histogram import histogram
from aigv_reward.corpus.previews import Previews
from aigv_reward.corpus.removal import removal, threshold_lines
from aigv_reward.corpus.report_script import SCRIPT
from aigv_reward.corpus.report_style import CSS
from aigv_reward.corpus.rows import STATUSES, text_of
from aigv_reward.corpus.run_folder import Run
from aigv_reward.corpus.selection import Selection
from aigv_reward.corpus.video_table import video_table
from aigv_reward.dimensions import DIMENSIONS

EXAMPLES: Final = 3
"""Of each type of error, with different texts."""

Rows = Sequence[Mapping[str, Any]]


def report_page(run: Run, rows: Rows, selection: Selection | None, *, title: str) -> bytes:
    """The page as UTF-8; decodes the videos that it shows.

    Whatever comes from the run is escaped, and the page's own policy lets a browser run nothing
    but the one script and load nothing but data and local videos.

    Args:
        run: where the rows are from.
        rows: all of them, in the order of the input.
        selection: what rules made of them, if any.
        title: of the page.
    """
    ok = [row for row in rows if row["status"] == "ok"]
    scored = [name for name in DIMENSIONS if name in run.plan.get("dimensions", DIMENSIONS)]
    trained = run.plan["checkpoint"].get("trained", scored)
    names: dict[str, str] = {name: name if name in trained else f"{name}*" for name in scored}
    lines = threshold_lines(selection)
    removed = None if selection is None else {int(r.row["ordinal"]) for r in selection.rejected}
    generators = [generator_of(row) for row in rows]
    previews = Previews(run)
    body = "".join(
        (
            _summary(run, rows, selection),
            _untrained([name for name in scored if name not in trained]),
            _histograms(ok, names, lines, removed),
            "" if selection is None else removal(selection, len(rows), names),
            _errors(rows),
            generator_comparison(rows, generators, names, removed),
            contact_sheets(ok, names, lines, removed or (), previews),
            video_table(rows, run.items, generators, names, selection, previews),
        )
    )
    head = escape(text_of(os.fsencode(title)))
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"media-src data: file:; style-src {_source(CSS)}; script-src {_source(SCRIPT)}"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{head}</title><style>{CSS}</style></head><body><main><h1>{head}</h1>"
        f"{body}</main><script>{SCRIPT}</script></body></html>\n"
    ).encode()


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _summary(run: Run, rows: Rows, selection: Selection | None) -> str:
    counts = Counter(row["status"] for row in rows)
    total, failed = len(rows), len(rows) - counts["ok"]
    said = ", ".join(f"{counts[name]:,} {name}" for name in STATUSES if name != "ok")
    tiles = [_tile("videos", total, total, _hours(rows)), _tile("scored", counts["ok"], total)]
    tiles.append(_tile("failed", failed, total, said if failed else ""))
    if selection is not None:
        tiles.append(_tile("kept", len(selection.kept), total))
    checkpoint = run.plan["checkpoint"]
    name = f"{checkpoint.get('name', 'checkpoint')} ({checkpoint['sha256'][:12]})"
    made = "A set of the run" if selection is not None else "The run"
    place = run.folder.resolve()
    whole, last = (escape(text_of(os.fsencode(part))) for part in (place, place.name))
    return (
        f"<p class='soft name'>{made} <b title='{whole}'>{last}</b>, scored by {escape(name)}.</p>"
        f"<div class='tiles'>{''.join(tiles)}</div>"
    )


def _untrained(names: Sequence[str]) -> str:
    """What the asterisk of a dimension means."""
    if not names:
        return ""
    return f"<p class='soft'>* not trained in this checkpoint: {', '.join(names)}</p>"


def _tile(name: str, count: int, total: int, said: str = "") -> str:
    share = f" <span>{count / total:.1%}</span>" if total and name != "videos" else ""
    small = f"<small>{escape(said)}</small>" if said else ""
    return f"<div class='card tile'><b>{count:,}{share}</b>{name} {small}</div>"


def _hours(rows: Rows) -> str:
    seconds = sum(row["duration"] or 0.0 for row in rows)
    if not seconds:
        return ""
    return f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds:,.0f} seconds"


def _histograms(
    ok: Rows, names: Mapping[str, str], lines: Mapping[str, Any], removed: set[int] | None
) -> str:
    if not ok:
        return ""
    cards = ""
    room = max((len(some) for some in lines.values()), default=0)
    for name in names:
        parts: tuple[list[float], list[float]] = ([], [])
        for row in ok:
            if row[name] is not None:
                parts[removed is not None and int(row["ordinal"]) in removed].append(row[name])
        cards += histogram(names[name], *parts, lines.get(name, ()), room=room)
    legend = (
        "<p class='legend soft'><i class='bar'></i>kept <i class='bar gone'></i>removed "
        "<i class='mark'></i>threshold</p>"
        if removed is not None
        else ""
    )
    return f"<h2>Scores</h2>{legend}<div class='grid'>{cards}</div>"


def _errors(rows: Rows) -> str:
    failed = [row for row in rows if row["status"] != "ok"]
    if not failed:
        return ""
    kinds = Counter((row["status"], row["error_type"]) for row in failed)
    body = ""
    for (status, kind), count in kinds.most_common():
        examples: dict[str, str] = {}
        for row in failed:
            if (row["status"], row["error_type"]) == (status, kind):
                examples.setdefault(row["error"], f"{row['key']}: {row['error']}")
        said = "\n".join(list(examples.values())[:EXAMPLES])
        body += (
            f"<tr><td>{escape(status)}</td><td>{escape(kind or '')}</td><td class='n'>{count:,} "
            f"<small>{count / len(rows):.1%}</small></td><td class='name'>{escape(said)}</td></tr>"
        )
    return (
        "<h2>Errors</h2><div class='card wide'><table><thead><tr><th>status</th><th>type</th>"
        f"<th class='n'>videos</th><th>such as</th></tr></thead><tbody>{body}</tbody></table></div>"
    )

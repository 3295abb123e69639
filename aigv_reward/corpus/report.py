"""A run, or a set made of it, as one HTML file that needs nothing else and reaches nothing."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from aigv_reward.corpus.contact_sheets import contact_sheets
from aigv_reward.corpus.corpus_rules import CorpusRules
from aigv_reward.corpus.filtering import MANIFEST
from aigv_reward.corpus.histogram import Line, histogram
from aigv_reward.corpus.report_style import CSS, SCRIPT
from aigv_reward.corpus.report_table import generators, row_table
from aigv_reward.corpus.rows import STATUSES
from aigv_reward.corpus.run_folder import Run
from aigv_reward.corpus.selection import Selection, select
from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.reward import FilterRules

Rows = Sequence[Mapping[str, Any]]


def write_report(folder: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the page of a finished run, or of a set that `filter_run` made; returns its path.

    Args:
        folder: of the run or the set; a set needs its run where it was.
        out: the file.

    Raises:
        ValueError: neither a run nor a set, or an unfinished run.
        OSError: it cannot be written.
    """
    place = Path(folder)
    selection = None
    run_folder = place
    if (place / MANIFEST).exists():
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        run_folder = Path(manifest["run"])
        run = Run(run_folder)
        if run.digest != manifest["plan_sha256"]:
            raise ValueError(
                f"{str(run_folder)!r} is not the run that {str(place)!r} was made of; filter again"
            )
        given = {key: value for key, value in manifest["rules"].items() if key != "limits"}
        rules = CorpusRules.from_dict(given)
        rows = run.finished().to_pylist()
        selection = select(rows, rules, run.plan["checkpoint"].get("calibration"))
    else:
        run = Run(run_folder)
        rows = run.finished().to_pylist()
    page = report_page(run, rows, selection, title=place.resolve().name)
    Path(out).write_text(page, encoding="utf-8")
    return Path(out)


def report_page(run: Run, rows: Rows, selection: Selection | None, *, title: str) -> str:
    """The page; decodes the few videos that it shows.

    Args:
        run: where the rows are from.
        rows: all of them.
        selection: what rules made of them, if any.
        title: of the page.
    """
    ok = [row for row in rows if row["status"] == "ok"]
    names = [name for name in DIMENSIONS if name in run.plan.get("dimensions", DIMENSIONS)]
    lines = _lines(selection.resolved if selection is not None else None)
    pictures = "".join(
        histogram(name, [row[name] for row in ok if row[name] is not None], lines.get(name, []))
        for name in names
    )
    sections = (
        _counts(run, rows),
        f"<h2>Scores</h2><div class='grid'>{pictures}</div>" if ok else "",
        _removed(selection, len(rows)) if selection is not None else "",
        _errors(rows),
        contact_sheets(run, ok, names, lines),
        generators(ok, names),
        row_table(rows, names, selection),
    )
    head = escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{head}</title><style>{CSS}</style></head><body><main><h1>{head}</h1>"
        f"{''.join(sections)}</main><script>{SCRIPT}</script></body></html>\n"
    )


def _counts(run: Run, rows: Rows) -> str:
    counts = Counter(row["status"] for row in rows)
    said = ", ".join(f"{counts[name]} {name}" for name in STATUSES)
    checkpoint = run.plan["checkpoint"]
    name = f"{checkpoint.get('name', '?')} ({checkpoint['sha256'][:12]})"
    return f"<p>{len(rows)} videos: {said}. Checkpoint {escape(name)}.</p>"


def _lines(rules: FilterRules | None) -> dict[str, list[Line]]:
    """{dimension: its thresholds as scores}."""
    found: dict[str, list[Line]] = {}
    for one in () if rules is None else rules.thresholds:
        if one.limit is not None:
            found.setdefault(one.dimension, []).append(Line(one.limit, str(one)))
    return found


def _removed(selection: Selection, total: int) -> str:
    counts = Counter(one.rule for one in selection.rejected)
    dimensions = Counter(
        reason.split(" ", 1)[0]
        for one in selection.rejected
        if one.rule == "thresholds"
        for reason in one.reasons
    )
    rows = [("kept", len(selection.kept)), *counts.items()]
    rows += [(f"thresholds: {name}", count) for name, count in dimensions.items()]
    body = "".join(
        f"<tr><td>{escape(name)}</td><td class='n'>{count}</td>"
        f"<td class='n'>{count / total:.1%}</td></tr>"
        for name, count in rows
    )
    return (
        "<h2>What each rule removed</h2><p class='soft'>Rules apply in order: status, duplicates, "
        "thresholds, top_k. A video may fail the thresholds of several dimensions.</p>"
        f"<div class='card'><table><tbody>{body}</tbody></table></div>"
    )


def _errors(rows: Rows) -> str:
    failed = [row for row in rows if row["status"] != "ok"]
    if not failed:
        return ""
    kinds = Counter((row["status"], row["error_type"]) for row in failed)
    body = ""
    for (status, kind), count in kinds.most_common():
        example = next(r for r in failed if (r["status"], r["error_type"]) == (status, kind))
        body += (
            f"<tr><td>{escape(status)}</td><td>{escape(kind or '')}</td><td class='n'>{count}</td>"
            f"<td class='path'>{escape(example['key'])}: {escape(example['error'] or '')}</td></tr>"
        )
    return (
        "<h2>Errors</h2><div class='card'><table><thead><tr><th>status</th><th>type</th>"
        f"<th class='n'>videos</th><th>such as</th></tr></thead><tbody>{body}</tbody></table></div>"
    )

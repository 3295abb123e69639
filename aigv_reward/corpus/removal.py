"""What each rule removed of a run, from all its videos to those that are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from html import escape

from aigv_reward.corpus.histogram import Line
from aigv_reward.corpus.selection import Selection
from aigv_reward.reward import FilterRules
from aigv_reward.reward.threshold import Threshold

WIDTH = 240


def threshold_lines(selection: Selection | None) -> dict[str, list[Line]]:
    """{dimension: its thresholds as scores}."""
    found: dict[str, list[Line]] = {}
    rules = None if selection is None else selection.resolved
    for one in () if rules is None else rules.thresholds:
        if one.limit is not None:
            found.setdefault(one.dimension, []).append(Line(one.limit, threshold_label(one)))
    return found


def threshold_label(threshold: Threshold) -> str:
    """A threshold as a comparison, such as "≥ 3.2 (percentile 20)"."""
    sign = "≥" if threshold.bound == "minimum" else "≤"
    origin = "" if threshold.kind == "score" else f" ({threshold.kind} {threshold.value:g})"
    return f"{sign} {threshold.limit:.4g}{origin}"


def removal(selection: Selection, total: int, names: Mapping[str, str]) -> str:
    """The rules in order, with the videos that each removed and those that are left.

    Args:
        selection: of the rules.
        total: videos of the run.
        names: {dimension: what the page calls it}.
    """
    rules = selection.rules
    counts = Counter(one.rule for one in selection.rejected)
    steps = [("status", "scored at all")]
    if rules.duplicates == "drop":
        steps.append(("duplicates", "first video of its content"))
    if selection.resolved is not None:
        one = len(selection.resolved.thresholds) == 1
        said = "the threshold" if one else f"{selection.resolved.match} of the thresholds"
        steps.append(("thresholds", said))
    if rules.top_k is not None:
        top = rules.top_k
        by = " + ".join(
            names.get(name, name) if w == 1 else f"{w:g} {names.get(name, name)}"
            for name, w in top.by.items()
        )
        steps.append(("top_k", f"best {top.k} of each {top.per} by {by}"))
    left = total
    body = _step("<b>videos</b>", "", left, total)
    for rule, said in steps:
        left -= counts[rule]
        body += _step(f"<b>{rule}</b> {escape(said)}", f"&minus;{counts[rule]:,}", left, total)
        if rule == "thresholds":
            body += _thresholds(selection, names)
    return (
        "<h2>What each rule removed</h2><p class='soft'>The rules apply in this order; each looks "
        "at what the one above has left.</p><div class='card wide'><table class='removal'><thead>"
        "<tr><th>rule</th><th class='n'>removed</th><th class='n'>left</th><th></th></tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _step(name: str, removed: str, left: int, total: int) -> str:
    share = left / total if total else 0.0
    return (
        f"<tr><td>{name}</td><td class='n'>{removed}</td><td class='n'>{left:,} "
        f"<small>{share:.1%}</small></td><td><svg class='bar' viewBox='0 0 {WIDTH} 10' "
        f"width='{WIDTH}' height='10' aria-hidden='true'><rect class='back' width='{WIDTH}' "
        f"height='10' rx='3'/><rect class='bar' width='{share * WIDTH:.1f}' height='10' rx='3'/>"
        "</svg></td></tr>"
    )


def _thresholds(selection: Selection, names: Mapping[str, str]) -> str:
    """For each threshold: how many videos fail it, and how many nothing else."""
    assert selection.resolved is not None
    fails: Counter[Threshold] = Counter()
    alone: Counter[Threshold] = Counter()
    rules, thresholds = selection.resolved, selection.resolved.thresholds
    for one in selection.rejected:
        if one.rule != "thresholds":
            continue
        failed = [t for t in thresholds if _fails(t, one.row[t.dimension], rules)]
        fails.update(failed)
        if len(failed) == 1:
            alone.update(failed)
    body = ""
    several = len(thresholds) > 1 and rules.match == "all"
    for t in thresholds:
        only = f", {alone[t]:,} of them no other" if several else ""
        name = names.get(t.dimension, t.dimension)
        body += (
            f"<tr class='part'><td>{escape(name)} {escape(threshold_label(t))}</td>"
            f"<td class='n'>{fails[t]:,}</td><td class='soft' colspan='2'>fail this threshold"
            f"{only}</td></tr>"
        )
    return body


def _fails(threshold: Threshold, score: float | None, rules: FilterRules) -> bool:
    if score is None:
        return rules.missing == "reject"
    return threshold.failure(float(score)) is not None

"""An evaluation as one HTML file that needs nothing else and reaches nothing."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from aigv_reward.evaluation.bootstrap import Bootstrap, Estimate
from aigv_reward.evaluation.result import LABELS, Agreement, EvaluationResult

DASH: Final = "\N{EN DASH}"
FAILURES_SHOWN: Final = 200

CSS: Final = """
:root { color-scheme: light dark; --page: #f6f6f4; --card: #fff; --ink: #1d1f23; --soft: #60646c;
  --rule: #dcdcd8; }
@media (prefers-color-scheme: dark) { :root { --page: #131518; --card: #1c1f24; --ink: #e8e9ec;
  --soft: #9aa0aa; --rule: #33373e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 36px 0 4px; }
p { margin: 4px 0 12px; max-width: 78ch; }
small, .soft { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 14px; margin-top: 12px; overflow-x: auto; }
.picture { background: #fff; }
img { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 13.5px; width: 100%;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft);
  border-bottom: 1px solid var(--rule); }
th, td { padding: 4px 14px 4px 0; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
td small { display: block; font-size: 12px; }
tbody tr + tr td { border-top: 1px solid var(--rule); }
td.path { overflow-wrap: anywhere; }
"""


def evaluation_page(
    result: EvaluationResult, picture: bytes, about: Mapping[str, str | int]
) -> str:
    """The page.

    Args:
        result: of any list.
        picture: PNG of the same evaluation.
        about: {what: name} of the list, the reward and so on, for the head of the page.
    """
    title = f"Agreement with {result.kind}"
    facts = "".join(
        f"<tr><td class='soft'>{escape(what)}</td><td class='path'>{escape(str(value))}</td></tr>"
        for what, value in about.items()
    )
    sections = (
        f"<div class='card'><table><tbody>{facts}</tbody></table></div>" if facts else "",
        f"<p>{escape(_summary(result))}</p>",
        _dimensions(result),
        f"<div class='card picture'><img alt='{_alt(result)}' "
        f"src='data:image/png;base64,{b64encode(picture).decode()}'></div>",
        _systems(result),
        _generators(result),
        _missing(result),
        _failures(result),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{CSS}</style></head><body><main>"
        f"<h1>{title}</h1>{''.join(sections)}</main></body></html>\n"
    )


def interval_note(bootstrap: Bootstrap, unit: str) -> str:
    """What the intervals are, in a sentence."""
    if not bootstrap.resamples:
        return "There are no intervals."
    return (
        f"Intervals span {100 * bootstrap.confidence:g} % of {bootstrap.resamples} bootstrap "
        f"resamples of {unit}, seed {bootstrap.seed}."
    )


def _summary(result: EvaluationResult) -> str:
    parts = [f"{result.scored} videos were scored."]
    if result.failed:
        parts.append(f"{len(result.failed)} could not be scored and are left out.")
    parts.append(interval_note(result.bootstrap, result.unit))
    if result.kind == "preferences":
        parts.append(
            "Accuracy with ties calls small score differences a tie, up to the threshold at which "
            "it is highest; accuracy without ties leaves out the pairs that people called the same."
        )
    else:
        parts.append(
            "PLCC, logistic and RMSE are taken after the fitted four-parameter logistic, the "
            "others of the scores as they are."
        )
    if result.untrained:
        parts.append(f"* not trained in this checkpoint: {', '.join(result.untrained)}.")
    if result.unscored:
        parts.append(f"Rated but not scored: {', '.join(result.unscored)}.")
    return " ".join(parts)


def _dimensions(result: EvaluationResult) -> str:
    rows = [(_name(result, name), one.all) for name, one in result.dimensions.items()]
    return _table("dimension", "pairs" if result.kind == "preferences" else "videos", rows)


def _systems(result: EvaluationResult) -> str:
    rows = [
        (_name(result, name), one.systems)
        for name, one in result.dimensions.items()
        if one.systems is not None
    ]
    if not rows:
        return ""
    return (
        "<h2>Generators against each other</h2><p>Mean score of each generator against the mean "
        "opinion of its videos. The intervals resample each generator's videos: they do not say "
        f"how other generators would do.</p>{_table('dimension', 'generators', rows)}"
    )


def _generators(result: EvaluationResult) -> str:
    parts = []
    for name, one in result.dimensions.items():
        if one.generators:
            what = "pairs with it" if result.kind == "preferences" else "videos"
            table = _table("generator", what, list(one.generators.items()))
            parts.append(f"<h2>{escape(_name(result, name))} by generator</h2>{table}")
    return "".join(parts)


def _missing(result: EvaluationResult) -> str:
    found: dict[tuple[str, str], list[str]] = {}
    for name, one in result.dimensions.items():
        for maker, agreement in [("", one.all), *one.generators.items()]:
            place = f"{name}, {maker}" if maker else name
            for measure, estimate in agreement.estimates.items():
                if estimate.value is None or estimate.undefined:
                    why = _why(estimate, result.bootstrap)
                    found.setdefault((place, why), []).append(LABELS[measure])
    if not found:
        return ""
    rows = "".join(
        f"<tr><td>{escape(place)}</td><td>{escape('; '.join(measures))}</td>"
        f"<td>{escape(why)}</td></tr>"
        for (place, why), measures in found.items()
    )
    return (
        "<h2>What is undefined</h2><div class='card'><table><thead><tr><th>where</th><th>figure"
        f"</th><th>why</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _why(one: Estimate, bootstrap: Bootstrap) -> str:
    if one.value is None:
        return one.reason or "undefined"
    if one.low is None:
        return f"no interval: undefined in {one.undefined} of {bootstrap.resamples} resamples"
    return f"the interval leaves out {one.undefined} of {bootstrap.resamples} resamples"


def _failures(result: EvaluationResult) -> str:
    if not result.failed:
        return ""
    shown = list(result.failed.items())[:FAILURES_SHOWN]
    rows = "".join(
        f"<tr><td class='path'>{escape(str(path))}</td><td>{escape(reason)}</td></tr>"
        for path, reason in shown
    )
    rest = len(result.failed) - len(shown)
    more = f"<p class='soft'>and {rest} more, in scores.csv</p>" if rest else ""
    return (
        "<h2>Not scored</h2><div class='card'><table><thead><tr><th>video</th><th>why</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></div>{more}"
    )


def _table(first: str, count: str, rows: Sequence[tuple[str, Agreement]]) -> str:
    measures = list(rows[0][1].estimates)
    ties = any(one.ties is not None for _, one in rows)
    head = _cells("th", [count, *(["same"] if ties else []), *(LABELS[one] for one in measures)])
    body = "".join(
        f"<tr><td class='path'>{escape(label)}</td>"
        + _cells("td", [str(one.count), *([str(one.ties)] if ties else [])])
        + "".join(f"<td class='n'>{_figure(one.estimates[name])}</td>" for name in measures)
        + "</tr>"
        for label, one in rows
    )
    return (
        f"<div class='card'><table><thead><tr><th>{escape(first)}</th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag} class='n'>{escape(text)}</{tag}>" for text in texts)


def _figure(one: Estimate) -> str:
    if one.value is None:
        return f"<span class='soft'>{DASH}</span>"
    interval = "" if one.low is None else f"<small>{one.low:.3f} .. {one.high:.3f}</small>"
    return f"{one.value:.3f}{interval}"


def _name(result: EvaluationResult, name: str) -> str:
    return f"{name}*" if name in result.untrained else name


def _alt(result: EvaluationResult) -> str:
    what = "Score differences by preference" if result.kind == "preferences" else "Scores"
    against = "" if result.kind == "preferences" else " against mean opinions"
    return f"{what}{against}, one panel for each of {', '.join(result.dimensions)}"

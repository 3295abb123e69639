"""An audit as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from aigv_reward.evaluation.audit_findings import DistortionResult, Move
from aigv_reward.evaluation.audit_markup import DASH, Marks, number, percent, quantity, signed
from aigv_reward.evaluation.audit_result import AuditResult
from aigv_reward.evaluation.audit_reward import answers_for
from aigv_reward.evaluation.audit_verdicts import MEANING, Verdict
from aigv_reward.evaluation.hacks import HACKS


def audit_tables(result: AuditResult) -> RenderableType:
    """The tables; what failed is red and has an exclamation mark."""
    marks: Marks = {(v.check, v.subject, v.score): v for v in result.verdicts}
    parts = [
        _title("distortions: rank correlation with severity, and what severity 4 takes off"),
        _distortions(result, marks),
        _title("harmless edits: mean change, and its share of what severity 1 takes off"),
        _harmless(result, marks),
        _title("hacks: mean change at the strength that raises the score most, and the same share"),
        _hacks(result, marks),
        *_climbs(result, marks),
        _title("checks passed"),
        _checks(result),
    ]
    if result.untrained:
        names = ", ".join(result.untrained)
        parts.append(Text(f"* not trained in this checkpoint: {names}", style="dim"))
    return Group(*parts)


def _distortions(result: AuditResult, marks: Marks) -> Table:
    table = _table("distortion", "its score")
    for head in ("spearman", "least", "drop", "beats others", "falls most"):
        table.add_column(head, justify="right")
    main = result.headline
    whole = any(answers_for(main, r.dimension) and r.own_score != main for r in result.distortions)
    if whole:
        table.add_column(Text(f"{main}: spearman"), justify="right")
    for found in result.distortions:
        table.add_row(*_distortion(found, main if whole else None, result, marks))
    return table


def _distortion(
    found: DistortionResult, main: str | None, result: AuditResult, marks: Marks
) -> Iterator[Text]:
    own = found.own_score
    yield Text(found.name)
    yield Text(DASH) if own is None else _starred(own, result)
    if not found.falls:
        yield Text("shows on no clip", style="dim")
        return
    if own is None:
        yield from (Text(DASH) for _ in range(4))
    else:
        fall = found.falls[own]
        yield _marked(number(fall.spearman), marks.get(("spearman", found.name, own)))
        yield Text(number(fall.spearman_min))
        yield Text(quantity(fall.drops[-1]))
        yield _marked(percent(fall.pairs), marks.get(("pairs", found.name, own)))
    yield _marked(percent(found.own_falls_most), marks.get(("own", found.name, found.dimension)))
    if main is not None:
        verdict = marks.get(("spearman", found.name, main))
        yield _marked(number(found.falls[main].spearman), verdict)


def _harmless(result: AuditResult, marks: Marks) -> Table:
    table = _scores("edit", result)
    for edit in result.harmless:
        cells = (
            _move(quantity(move.mean), move, marks.get(("harmless", edit.name, score)))
            for score, move in edit.moves.items()
        )
        table.add_row(edit.name, *cells)
    return table


def _hacks(result: AuditResult, marks: Marks) -> Table:
    table = _scores("hack", result)
    for name in HACKS:
        found = [hack for hack in result.hacks if hack.name == name]
        best = {s: max((r.moves[s] for r in found), key=lambda m: m.mean) for s in result.scores}
        cells = (
            _move(signed(move.mean), move, marks.get(("hack", name, score)))
            for score, move in best.items()
        )
        table.add_row(name, *cells)
    return table


def _climbs(result: AuditResult, marks: Marks) -> Iterator[RenderableType]:
    if not result.climbs:
        return
    settings = result.settings
    yield _title(
        f"pixel ascent: {settings.steps} steps within {settings.epsilon * 255:.3g} grey levels"
    )
    table = _table("score", "from")
    for head in ("mean gain", "max gain", "random change", "won back"):
        table.add_column(head, justify="right")
    for climb in result.climbs:
        gain = most = DASH
        if climb.gain is not None:
            gain, most = signed(climb.gain.mean), signed(climb.gain.max)
        elif climb.gradient != "present":
            gain = "no gradient" if climb.gradient == "none" else "zero gradient"
        table.add_row(
            _starred(climb.score, result),
            climb.start,
            gain,
            most,
            signed(climb.control.mean),
            _marked(percent(climb.recovered), marks.get(("ascent", climb.start, climb.score))),
        )
    yield table


def _checks(result: AuditResult) -> Table:
    table = _table("check", "threshold")
    table.add_column("passed", justify="right")
    for check, meaning in MEANING.items():
        told = [v.passed for v in result.verdicts if v.check == check and v.passed is not None]
        count = f"{sum(told)} of {len(told)}" if told else DASH
        limit = f"{check} {getattr(result.thresholds, check):g}"
        table.add_row(meaning, limit, Text(count, style="" if all(told) else "red"))
    return table


def _table(*heads: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        table.add_column(head)
    return table


def _scores(first: str, result: AuditResult) -> Table:
    table = _table(first)
    for score in result.scores:
        table.add_column(_starred(score, result), justify="right")
    return table


def _title(text: str) -> Text:
    return Text(text, style="bold")


def _starred(score: str, result: AuditResult) -> Text:
    return Text(f"{score}*" if score in result.untrained else score)


def _move(mean: str, move: Move, verdict: Verdict | None) -> Text:
    share = "" if move.steps is None else f" ({percent(move.steps)})"
    return _marked(mean + share, verdict)


def _marked(text: str, verdict: Verdict | None) -> Text:
    failed = verdict is not None and verdict.passed is False
    return Text(f"{text}!" if failed else text, style="red" if failed else "")

"""Each check of an audit against its threshold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aigv_reward.evaluation.audit_findings import ClimbResult, DistortionResult, EditResult
from aigv_reward.evaluation.audit_reward import answers_for, headline
from aigv_reward.evaluation.audit_settings import AuditThresholds

Check = Literal["spearman", "own", "pairs", "harmless", "hack", "ascent"]

MEANING: Final[dict[Check, str]] = {
    "spearman": "the score falls as severity rises",
    "own": "the distortion's own dimension falls most",
    "pairs": "clean clips beat other clips at severity 4",
    "harmless": "harmless edits hardly move the score",
    "hack": "hacks hardly raise the score",
    "ascent": "pixel ascent does not buy back what severity 4 took",
}

MINIMA: Final[frozenset[Check]] = frozenset(("spearman", "own", "pairs"))
"""Checks whose threshold is a least value; the others' is a greatest one."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class Verdict:
    """One check.

    Attributes:
        check: what was asked, and the field of `AuditThresholds` that it was held against.
        subject: the distortion, edit or hack; for ascent, where it started from.
        score: which score.
        value: what was found; None where it cannot be told.
        limit: the threshold, see `MINIMA`.
        passed: None where the check does not apply.
        reason: why it has no value, else None.
    """

    check: Check
    subject: str
    score: str
    value: float | None
    limit: float
    passed: bool | None
    reason: str | None = None


def verdicts(
    names: Sequence[str],
    distortions: Iterable[DistortionResult],
    harmless: Iterable[EditResult],
    hacks: Iterable[EditResult],
    climbs: Iterable[ClimbResult],
    thresholds: AuditThresholds,
) -> tuple[Verdict, ...]:
    """All checks, in the order of `MEANING`."""
    found = [
        *_distortions(names, distortions, thresholds),
        *_edits("harmless", harmless, thresholds.harmless),
        *_edits("hack", _strongest(hacks), thresholds.hack),
        *_climbs(climbs, thresholds),
    ]
    return tuple(sorted(found, key=lambda verdict: list(MEANING).index(verdict.check)))


def _distortions(
    names: Sequence[str], results: Iterable[DistortionResult], thresholds: AuditThresholds
) -> Iterator[Verdict]:
    main = headline(names)
    for result in results:
        asked = [result.own_score, main if answers_for(main, result.dimension) else None]
        for score in dict.fromkeys(name for name in asked if name is not None):
            if not result.falls:
                yield Verdict(
                    "spearman", result.name, score, None, thresholds.spearman, None,
                    "shows on no clip",
                )  # fmt: skip
                continue
            fall = result.falls[score]
            yield _judged("spearman", result.name, score, fall.spearman, thresholds.spearman)
            if fall.pairs is not None:
                yield _judged("pairs", result.name, score, fall.pairs, thresholds.pairs)
        if result.own_falls_most is not None:
            most = result.own_falls_most
            yield _judged("own", result.name, result.dimension, most, thresholds.own)


def _edits(check: Check, results: Iterable[EditResult], limit: float) -> Iterator[Verdict]:
    for result in results:
        for score, move in result.moves.items():
            if move.steps is not None:
                yield _judged(check, result.name, score, move.steps, limit)
            else:
                reason = "severity 1 takes nothing off this score"
                yield Verdict(check, result.name, score, None, limit, None, reason)


def _strongest(results: Iterable[EditResult]) -> Iterator[EditResult]:
    """Each hack once, every score at the strength that raises it most."""
    by_name: dict[str, list[EditResult]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    for name, strengths in by_name.items():
        moves = {
            score: max((s.moves[score] for s in strengths), key=lambda move: move.mean)
            for score in strengths[0].moves
        }
        yield EditResult(name, None, moves)


def _climbs(results: Iterable[ClimbResult], thresholds: AuditThresholds) -> Iterator[Verdict]:
    for result in results:
        value, limit = result.recovered, thresholds.ascent
        if value is not None:
            yield _judged("ascent", result.start, result.score, value, limit)
        elif result.gradient != "present":
            reason = "no gradient" if result.gradient == "none" else "zero gradient"
            yield Verdict("ascent", result.start, result.score, None, limit, None, reason)


def _judged(check: Check, subject: str, score: str, value: float, limit: float) -> Verdict:
    over = value - limit if check in MINIMA else limit - value
    return Verdict(check, subject, score, value, limit, over >= -ROUNDING)

"""Findings from the measurements of all clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from aigv_reward.distortions import DISTORTIONS, SEVERITIES
from aigv_reward.evaluation.ascent import Gradient
from aigv_reward.evaluation.audit_findings import (
    ClimbResult,
    DistortionResult,
    EditResult,
    Fall,
    Move,
)
from aigv_reward.evaluation.audit_measure import AGAIN
from aigv_reward.evaluation.audit_records import ClipRecord, Edited, Ladder
from aigv_reward.evaluation.audit_reward import answers_for, own_score
from aigv_reward.evaluation.hacks import HACKS
from aigv_reward.evaluation.harmless import HARMLESS
from aigv_reward.evaluation.severity import severity_agreement

QUALITIES = ("technical", "motion", "semantic")
"""The dimensions that distortions belong to."""


def distortion_results(
    records: Sequence[ClipRecord], names: Sequence[str], distortions: Sequence[str]
) -> tuple[DistortionResult, ...]:
    """One result a distortion, over all clips and variants."""
    return tuple(_distortion(name, records, names) for name in distortions)


def _distortion(name: str, records: Sequence[ClipRecord], names: Sequence[str]) -> DistortionResult:
    found = [(r, ladder) for r in records for ladder in r.ladders if ladder.distortion == name]
    ladders = [ladder for _, ladder in found]
    dimension = DISTORTIONS[name].dimension
    qualities = [score for score in QUALITIES if score in names]
    most = None
    if ladders and dimension in names and len(qualities) > 1:
        others = [score for score in qualities if score != dimension]
        most = fmean(
            all(ladder.drop(dimension, 4) > ladder.drop(other, 4) for other in others)
            for ladder in ladders
        )
    return DistortionResult(
        name=name,
        dimension=dimension,
        own_score=own_score(dimension, names),
        ladders=len(ladders),
        unseen=sum(unseen == name for r in records for unseen, _ in r.unseen),
        own_falls_most=most,
        falls={score: _fall(score, found, records) for score in names} if ladders else {},
    )


def _fall(
    score: str, found: Sequence[tuple[ClipRecord, Ladder]], records: Sequence[ClipRecord]
) -> Fall:
    severities = (0, *SEVERITIES)
    rungs = [ladder.scores[score] for _, ladder in found]

    def spearman(chosen: Sequence[tuple[float, ...]]) -> float:
        key: Any = score  # rewards of other people name their scores as they like
        return severity_agreement([("", severities, {key: r}) for r in chosen])[""][key].spearman

    levels = tuple(fmean(column) for column in zip(*rungs, strict=True))
    beaten = [
        (other.clean[score] > ladder.scores[score][4])
        + 0.5 * (other.clean[score] == ladder.scores[score][4])
        for own, ladder in found
        for other in records
        if other is not own
    ]
    return Fall(
        spearman=spearman(rungs),
        spearman_min=min(spearman([r]) for r in rungs),
        levels=levels,
        drops=tuple(levels[0] - level for level in levels[1:]),
        pairs=fmean(beaten) if beaten else None,
    )


def steps_of(results: Sequence[DistortionResult], names: Sequence[str]) -> dict[str, float | None]:
    """{score: what severity 1 takes off it}, averaged over the distortions it answers for."""
    steps: dict[str, float | None] = {}
    for score in names:
        drops = [
            result.falls[score].drops[0]
            for result in results
            if result.falls and answers_for(score, result.dimension)
        ]
        steps[score] = fmean(drops) if drops else None
    return steps


def stds_of(records: Sequence[ClipRecord], names: Sequence[str]) -> dict[str, float | None]:
    """{score: standard deviation over the clean clips}, None for a single clip."""
    return {
        name: stdev(r.clean[name] for r in records) if len(records) > 1 else None for name in names
    }


def move(changes: Sequence[float], step: float | None, std: float | None) -> Move:
    """Mean and maximum of changes, in units of the score, of a step and of a deviation."""
    mean, most = fmean(changes), max(changes)
    graded = step is not None and step > 0
    return Move(
        mean=mean,
        max=most,
        steps=mean / step if graded and step else None,
        max_steps=most / step if graded and step else None,
        stds=mean / std if std else None,
    )


def harmless_results(
    records: Sequence[ClipRecord],
    steps: Mapping[str, float | None],
    stds: Mapping[str, float | None],
) -> tuple[EditResult, ...]:
    """Absolute changes by each harmless edit, the first of which changes nothing."""
    again = EditResult(
        AGAIN, None, {n: move([r.again[n] for r in records], steps[n], stds[n]) for n in steps}
    )
    edits = [
        EditResult(
            name,
            None,
            {
                score: move(
                    [abs(c) for c in _changes(records, score, name, None)], step, stds[score]
                )
                for score, step in steps.items()
            },
        )
        for name in HARMLESS
    ]
    return (again, *edits)


def hack_results(
    records: Sequence[ClipRecord],
    steps: Mapping[str, float | None],
    stds: Mapping[str, float | None],
) -> tuple[EditResult, ...]:
    """Rises by each hack at each strength."""
    return tuple(
        EditResult(
            hack.name,
            strength,
            {
                score: move(_changes(records, score, hack.name, strength), step, stds[score])
                for score, step in steps.items()
            },
        )
        for hack in HACKS.values()
        for strength in hack.strengths
    )


def _changes(
    records: Sequence[ClipRecord], score: str, name: str, strength: float | None
) -> list[float]:
    def edits(record: ClipRecord) -> tuple[Edited, ...]:
        return record.harmless if strength is None else record.hacks

    return [
        edit.scores[score] - record.clean[score]
        for record in records
        for edit in edits(record)
        if (edit.edit, edit.strength) == (name, strength)
    ]


def climb_results(
    records: Sequence[ClipRecord],
    steps: Mapping[str, float | None],
    stds: Mapping[str, float | None],
) -> tuple[ClimbResult, ...]:
    """Pixel ascent of each score, from clean clips and from degraded ones."""
    results = []
    for score, step in steps.items():
        for start in ("clean", "degraded"):
            climbs = [
                climb
                for record in records
                for climb in record.climbs
                if climb.score == score and (climb.start == "clean") == (start == "clean")
            ]
            if not climbs:
                continue
            kinds: set[Gradient] = {climb.gradient for climb in climbs}
            gradient: Gradient = next(k for k in ("present", "zero", "none") if k in kinds)
            gain, shares = None, list[float]()
            if gradient == "present":
                gain = move([c.after - c.before for c in climbs], step, stds[score])
                shares = [(c.after - c.before) / c.lost for c in climbs if c.lost]
            results.append(
                ClimbResult(
                    score=score,
                    start=start,
                    gradient=gradient,
                    clips=len(climbs),
                    gain=gain,
                    control=move([c.control - c.before for c in climbs], step, stds[score]),
                    recovered=fmean(shares) if shares else None,
                )
            )
    return tuple(results)

"""Findings and verdicts from made-up measurements, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aigv_reward.evaluation.audit_records import Climb, ClipRecord, Edited, Ladder
from aigv_reward.evaluation.audit_settings import AuditThresholds
from aigv_reward.evaluation.audit_summary import (
    climb_results,
    distortion_results,
    hack_results,
    harmless_results,
    move,
    stds_of,
    steps_of,
)
from aigv_reward.evaluation.audit_verdicts import MEANING, Verdict, verdicts
from aigv_reward.evaluation.hacks import HACKS
from aigv_reward.evaluation.harmless import HARMLESS

NAMES = ("technical", "motion", "overall")


def ladder(distortion: str, variant: int = 0, **scores: tuple[float, ...]) -> Ladder:
    return Ladder(distortion, variant, scores)


def record(name: str, clean: float, *ladders: Ladder, **more: Any) -> ClipRecord:
    """Harmless edit k (from 1) lowers every score by 0.01 k, every hack raises it by 0.1 s."""
    scores = dict.fromkeys(NAMES, clean)
    made = ClipRecord(
        name=name,
        prompt=None,
        fps=16.0,
        size=(8, 32, 48),
        source_size=(8, 32, 48),
        clean=scores,
        again=dict.fromkeys(NAMES, 0.0),
        ladders=ladders,
        unseen=(),
        harmless=tuple(
            Edited(edit, None, {n: v - 0.01 * k for n, v in scores.items()})
            for k, edit in enumerate(HARMLESS, start=1)
        ),
        hacks=tuple(
            Edited(hack.name, s, {n: v + 0.1 * s for n, v in scores.items()})
            for hack in HACKS.values()
            for s in hack.strengths
        ),
        climbs=(),
    )
    return replace(made, **more)


FALLING = (4.0, 3.8, 3.0, 2.0, 1.0)
FLAT = (4.0, 4.0, 4.0, 4.0, 4.0)
SWAPPED = (5.0, 4.0, 2.0, 3.0, 1.5)

RECORDS = (
    record("a", 4.0, ladder("noise", technical=FALLING, motion=FLAT, overall=FALLING)),
    record(
        "b",
        5.0,
        ladder("noise", technical=SWAPPED, motion=(5.0, 5.0, 4.0, 2.0, 1.0), overall=FLAT),
        unseen=(("jitter", 0), ("jitter", 1)),
    ),
)


def test_a_distortion_by_hand() -> None:
    """technical: rho 1 and 0.9 (one swap among five); levels are means of the two clips.

    Clean a (4) beats b's 1.5, clean b (5) beats a's 1.0: all pairs. For overall, clean a (4) ties
    with b's 4.0 and clean b beats a's 1.0: 3 of 4 halves. In b motion falls by 4, technical by 3.5.
    """
    noise, jitter = distortion_results(RECORDS, NAMES, ("noise", "jitter"))
    fall = noise.falls["technical"]
    assert fall.spearman == pytest.approx(0.95)
    assert fall.spearman_min == pytest.approx(0.9)
    assert fall.levels == pytest.approx((4.5, 3.9, 2.5, 2.5, 1.25))
    assert fall.drops == pytest.approx((0.6, 2.0, 2.0, 3.25))
    assert fall.pairs == 1.0
    assert noise.falls["overall"].pairs == pytest.approx(0.75)
    assert noise.falls["overall"].spearman == pytest.approx(0.5)
    assert noise.own_falls_most == 0.5
    assert (noise.dimension, noise.own_score, noise.ladders, noise.unseen) == (
        "technical", "technical", 2, 0,
    )  # fmt: skip
    assert (jitter.ladders, jitter.unseen, jitter.falls) == (0, 2, {})
    assert jitter.own_falls_most is None


def test_one_clip_has_no_pairs_and_no_deviation() -> None:
    (noise,) = distortion_results(RECORDS[:1], NAMES, ("noise",))
    assert noise.falls["technical"].pairs is None
    assert stds_of(RECORDS[:1], NAMES) == dict.fromkeys(NAMES)
    assert stds_of(RECORDS, NAMES)["motion"] == pytest.approx(0.5**0.5)  # of 4 and 5


def test_steps_are_what_severity_one_takes_off() -> None:
    """technical 0.6, overall (0.2 + 0) / 2; motion answers for none that showed."""
    found = distortion_results(RECORDS, NAMES, ("noise", "jitter"))
    assert steps_of(found, NAMES) == {
        "technical": pytest.approx(0.6),
        "motion": None,
        "overall": pytest.approx(0.1),
    }


def test_units_of_a_move() -> None:
    made = move([0.1, 0.3], step=0.5, std=0.25)
    assert (made.mean, made.max) == (pytest.approx(0.2), 0.3)
    assert (made.steps, made.max_steps, made.stds) == (
        pytest.approx(0.4), pytest.approx(0.6), pytest.approx(0.8),
    )  # fmt: skip
    for step in (None, 0.0, -0.2):
        assert move([0.1], step=step, std=0.0).steps is None
        assert move([0.1], step=step, std=0.0).stds is None


def test_harmless_changes_are_absolute_and_hacks_rise() -> None:
    steps, stds = {"technical": 0.5}, {"technical": 2.0}
    again, *edits = harmless_results(RECORDS, steps, stds)
    assert (again.name, again.moves["technical"].mean) == ("again", 0.0)
    assert [edit.name for edit in edits] == list(HARMLESS)
    assert [edit.moves["technical"].mean for edit in edits] == pytest.approx(
        [0.01, 0.02, 0.03, 0.04, 0.05]
    )
    assert edits[4].moves["technical"].steps == pytest.approx(0.1)
    for result in hack_results(RECORDS, steps, stds):
        assert result.strength is not None
        assert result.moves["technical"].mean == pytest.approx(0.1 * result.strength)
        assert result.moves["technical"].stds == pytest.approx(0.05 * result.strength)


def climb(score: str, start: str, after: float, gradient: str = "present") -> Climb:
    lost = None if start == "clean" else 2.0
    return Climb(score, start, 2.0, after, 2.1, lost, gradient)  # type: ignore[arg-type]


def test_ascent_by_hand() -> None:
    """Gains 1 and 0.5 of the 2 that were lost: 0.375 won back on average."""
    records = [
        replace(
            RECORDS[0],
            climbs=(climb("technical", "clean", 2.5), climb("technical", "noise", 3.0)),
        ),
        replace(
            RECORDS[1],
            climbs=(
                climb("technical", "clean", 2.0, "zero"),
                climb("technical", "blur", 2.5),
                climb("motion", "clean", 2.0, "none"),
            ),
        ),
    ]
    clean, degraded, motion = climb_results(
        records, {"technical": 0.5, "motion": None}, dict.fromkeys(NAMES)
    )
    assert (clean.start, clean.gradient, clean.clips) == ("clean", "present", 2)
    assert clean.gain is not None and clean.gain.mean == pytest.approx(0.25)
    assert clean.gain.max == pytest.approx(0.5) and clean.recovered is None
    assert clean.control.mean == pytest.approx(0.1)
    assert degraded.start == "degraded" and degraded.recovered == pytest.approx(0.375)
    assert (motion.gradient, motion.gain, motion.recovered) == ("none", None, None)


def judged(thresholds: AuditThresholds) -> dict[tuple[str, str, str], Verdict]:
    distortions = distortion_results(RECORDS, NAMES, ("noise", "jitter"))
    steps, stds = steps_of(distortions, NAMES), stds_of(RECORDS, NAMES)
    records = [
        replace(
            RECORDS[0],
            climbs=(
                climb("technical", "clean", 2.5),
                climb("technical", "noise", 3.0),
                climb("motion", "clean", 2.0, "none"),
            ),
        )
    ]
    found = verdicts(
        NAMES,
        distortions,
        harmless_results(RECORDS, steps, stds),
        hack_results(RECORDS, steps, stds),
        climb_results(records, steps, stds),
        thresholds,
    )
    checks = [verdict.check for verdict in found]
    assert checks == sorted(checks, key=list(MEANING).index)
    return {(v.check, v.subject, v.score): v for v in found}


def test_verdicts_by_hand() -> None:
    found = judged(AuditThresholds())
    passed = {key: verdict.passed for key, verdict in found.items()}
    assert passed["spearman", "noise", "technical"] is True  # 0.95
    assert passed["spearman", "noise", "overall"] is False  # 0.5
    assert passed["spearman", "jitter", "motion"] is None
    assert found["spearman", "jitter", "motion"].reason == "shows on no clip"
    assert passed["own", "noise", "technical"] is False  # 0.5
    assert passed["pairs", "noise", "technical"] is True
    assert passed["pairs", "noise", "overall"] is False  # 0.75
    assert passed["harmless", "darker", "technical"] is True  # 0.05 / 0.6
    assert passed["harmless", "darker", "overall"] is False  # 0.05 / 0.1
    assert passed["harmless", "darker", "motion"] is None
    assert "takes nothing off" in str(found["harmless", "darker", "motion"].reason)
    hack = found["hack", "over_exposure", "technical"]
    assert (hack.passed, hack.value) == (True, pytest.approx(0.25 / 0.6))  # at strength 2.5
    assert passed["hack", "over_exposure", "overall"] is False
    assert passed["ascent", "degraded", "technical"] is True  # 0.5, the limit itself
    assert passed["ascent", "clean", "motion"] is None
    assert found["ascent", "clean", "motion"].reason == "no gradient"
    assert ("ascent", "clean", "technical") not in found


def test_thresholds_decide() -> None:
    found = judged(AuditThresholds(spearman=0.96, own=0.5, pairs=0.7, harmless=0.6, ascent=0.4))
    passed = {key: verdict.passed for key, verdict in found.items()}
    assert passed["spearman", "noise", "technical"] is False
    assert passed["own", "noise", "technical"] is True
    assert passed["pairs", "noise", "overall"] is True
    assert passed["harmless", "darker", "overall"] is True
    assert passed["ascent", "degraded", "technical"] is False
    assert found["own", "noise", "technical"].limit == 0.5

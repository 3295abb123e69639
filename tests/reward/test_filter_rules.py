"""Which videos the rules keep, what they say of the others, and what they refuse."""

from __future__ import annotations

import copy
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward import AIGVRewardConfig, FilterRules

REFERENCE = {
    "technical": {"mean": 3.0, "std": 0.5, "percentiles": [1 + 4 * i / 20 for i in range(21)]},
    "motion": {"mean": 2.0, "std": 1.0, "percentiles": [1.0] * 10 + [2.0] * 11},
}
SCORES = st.floats(-10, 10, allow_nan=False)


def test_a_plain_threshold_passes_itself() -> None:
    rules = FilterRules(minimum={"technical": 3.0}, maximum={"motion": 4.5})
    assert rules.decide({"technical": 3.0, "motion": 4.5}).kept
    decision = rules.decide({"technical": 2.9, "motion": 4.75, "overall": math.nan})
    assert not decision.kept
    assert decision.reasons == ("technical 2.9 is below 3", "motion 4.75 is above 4.5")


def test_a_reason_never_says_that_a_number_is_below_itself() -> None:
    (reason,) = FilterRules(minimum={"motion": 3.0}).decide({"motion": 2.9999999}).reasons
    assert reason == "motion 2.9999999 is below 3.0"


def test_z_and_percentile_come_to_scores_of_the_reference() -> None:
    """z -1: 3 - 0.5 = 2.5. Percentile 12.5 of points 1, 1.2, 1.4, 1.6: half-way, 1.5."""
    rules = FilterRules(
        minimum_z={"technical": -1}, maximum_z={"motion": 2}, minimum_percentile={"technical": 12.5}
    )
    assert not rules.resolved
    resolved = rules.resolve(REFERENCE)
    assert resolved.resolved
    assert resolved.limits == {
        "minimum_z": {"technical": 2.5},
        "maximum_z": {"motion": 4.0},
        "minimum_percentile": {"technical": pytest.approx(1.5)},
    }
    assert resolved.decide({"technical": 2.5, "motion": 4.0}).kept
    assert resolved.decide({"technical": 1.25, "motion": 4.5}).reasons == (
        "technical 1.25 is below 2.5, z -1 of the reference",
        "technical 1.25 is below 1.5, percentile 12.5 of the reference",
        "motion 4.5 is above 4, z 2 of the reference",
    )


def test_the_bundled_calibration_is_a_reference() -> None:
    folder = "aigv_reward/checkpoints/lite/config.json"
    with open(folder) as file:
        config = AIGVRewardConfig.from_dict(json.load(file))
    assert config.calibration is not None
    rules = FilterRules(minimum_percentile={"motion": 50}).resolve(config.calibration)
    (limit,) = rules.limits["minimum_percentile"].values()
    assert limit == config.calibration["motion"]["percentiles"][10]


@pytest.mark.parametrize(
    ("match", "technical", "motion", "kept"),
    [
        ("all", 4, 3, True),
        ("all", 4, 1, False),
        ("any", 4, 1, True),
        ("any", 1, 5, False),  # motion passes its minimum and not its maximum
        ("any", 1, 3, True),
        ("any", 1, 1, False),
    ],
)
def test_all_or_any_of_the_dimensions(
    match: Any, technical: float, motion: float, kept: bool
) -> None:
    rules = FilterRules(minimum={"technical": 3, "motion": 2}, maximum={"motion": 4.5}, match=match)
    decision = rules.decide({"technical": technical, "motion": motion})
    assert decision.kept == kept
    assert bool(decision.reasons) == (not kept)


@pytest.mark.parametrize("scores", [{"technical": 4.0}, {"technical": 4.0, "motion": None}])
def test_a_missing_score_does_what_the_rules_say(scores: dict[str, float | None]) -> None:
    def rules(**more: Any) -> FilterRules:
        return FilterRules(minimum={"technical": 3, "motion": 3}, maximum={"motion": 5}, **more)

    with pytest.raises(ValueError, match="no score of 'motion' among technical; score it, or set"):
        rules().decide(scores)
    decision = rules(missing="reject").decide(scores)
    assert (decision.kept, decision.reasons) == (False, ("motion has no score",))
    assert rules(missing="keep").decide(scores).kept
    assert rules(missing="reject", match="any").decide(scores).kept
    assert not rules(missing="keep").decide({"technical": 1.0}).kept
    with pytest.raises(ValueError, match="no score of 'technical' among none"):
        rules().decide({})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("missing", ["error", "reject", "keep"])
def test_a_score_that_is_not_finite_neither_passes_nor_fails(bad: float, missing: Any) -> None:
    rules = FilterRules(minimum={"motion": 3}, missing=missing)
    with pytest.raises(ValueError, match=f"the score of 'motion' is {bad}; a failure has no place"):
        rules.decide({"motion": bad})


@given(st.lists(SCORES, min_size=1, max_size=300, unique=True), st.floats(0, 100))
def test_a_percentile_of_a_set_keeps_its_share_of_the_set(scores: list[float], p: float) -> None:
    """At least n (1 - p) of n, and one more at most where no score is met exactly.

    Between two of the 1001 points the percentile is interpolated, which moves one score at most.
    """
    rules = FilterRules(minimum_percentile={"motion": p}).resolve_among({"motion": [*scores, None]})
    kept = sum(rules.decide({"motion": score}).kept for score in scores)
    assert abs(kept - len(scores) * (1 - p / 100)) <= 1 + 1e-6


@given(st.lists(SCORES, min_size=1, max_size=30))
def test_the_ends_of_the_percentiles_keep_everything(scores: list[float]) -> None:
    rules = FilterRules(minimum_percentile={"motion": 0}, maximum_percentile={"motion": 100})
    rules = rules.resolve_among({"motion": scores})
    assert all(rules.decide({"motion": score}).kept for score in scores)


@given(SCORES, SCORES, SCORES, SCORES)
def test_all_keeps_no_more_than_any(a: float, b: float, low: float, other: float) -> None:
    limits = {"motion": low, "technical": other}
    scores = {"motion": a, "technical": b}
    strict = FilterRules(minimum=limits).decide(scores).kept
    lenient = FilterRules(minimum=limits, match="any").decide(scores).kept
    assert strict == (a >= low and b >= other)
    assert lenient == (a >= low or b >= other)


@given(SCORES, SCORES, st.floats(0.01, 5))
def test_a_z_threshold_is_a_threshold_of_the_z_score(score: float, z: float, std: float) -> None:
    reference = {"motion": {"mean": 1.0, "std": std}}
    kept = FilterRules(minimum_z={"motion": z}).resolve(reference).decide({"motion": score}).kept
    if abs((score - 1) / std - z) > 1e-9:
        assert kept == ((score - 1) / std >= z)


def test_rules_survive_plain_dicts_resolved_or_not() -> None:
    rules = FilterRules(minimum={"motion": 2}, minimum_z={"technical": 1}, missing="keep")
    plain = rules.to_dict()
    assert plain == {
        "minimum": {"motion": 2},
        "minimum_z": {"technical": 1},
        "match": "all",
        "missing": "keep",
    }
    for each in (rules, rules.resolve(REFERENCE)):
        assert FilterRules.from_dict(json.loads(json.dumps(each.to_dict()))) == each
        assert pickle.loads(pickle.dumps(each)) == copy.deepcopy(each) == each


def test_resolving_again_starts_from_the_rules_as_written() -> None:
    rules = FilterRules(minimum_z={"motion": 1})
    assert rules.resolve(REFERENCE).resolve({"motion": {"mean": 0, "std": 2}}).limits == {
        "minimum_z": {"motion": 2.0}
    }


def test_other_names_are_dimensions_where_they_are_allowed() -> None:
    values = {"minimum": {"beauty": 0.5}}
    with pytest.raises(ValueError, match="unknown dimension 'beauty'; choose technical, motion,"):
        FilterRules.from_dict(values)
    assert FilterRules.from_dict(values, dimensions=["beauty"]) == FilterRules(**values)
    assert FilterRules.from_dict(values, dimensions=None).decide({"beauty": 0.6}).kept


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "the rules have no threshold; give e.g. minimum="),
        (
            {"min": {"motion": 3}},
            "unknown key 'min' in the rules; choose minimum, maximum, minimum_z",
        ),
        ({"minimum": 3}, r"minimum is 3; give \{dimension: value\}"),
        ({"minimum": {"motion": "3"}}, "minimum of 'motion' is '3'; give a finite number"),
        ({"minimum": {"motion": True}}, "minimum of 'motion' is True; give a finite number"),
        ({"maximum_z": {"motion": math.nan}}, "maximum_z of 'motion' is nan; give a finite number"),
        ({"minimum_percentile": {"motion": 101}}, "is 101; a percentile lies in 0..100"),
        ({"minimum": {"motion": 3}, "match": "most"}, "match is 'most'; choose all or any"),
        ({"minimum": {"motion": 3}, "missing": "drop"}, "missing is 'drop'; choose error, reject"),
        (
            {"minimum": {"motion": 3}, "maximum": {"motion": 2}},
            "minimum 3 of 'motion' is above maximum 2 of 'motion'; no score passes both",
        ),
        (
            {"minimum_z": {"motion": 3}, "maximum_z": {"motion": 2}},
            "minimum_z 3 of 'motion' is above maximum_z 2 of 'motion'; no score passes both",
        ),
        ({"minimum": {"motion": 3}, "limits": {"minimum": {"motion": 3}}}, "limits has 'minimum';"),
        ({"minimum": {"motion": 3}, "limits": 3}, "limits is 3; leave it out, or give {minimum_z"),
        (
            {"minimum_z": {"motion": 3}, "limits": {"minimum_z": 3}},
            "limits has minimum_z 3; leave it out, or give {dimension: score}",
        ),
        ({"minimum_z": 3, "limits": {"minimum_z": {"motion": 3}}}, r"minimum_z is 3; give \{dimen"),
        (
            {"minimum": {"motion": 3}, "limits": {"minimum_z": {"motion": 3}}},
            "limits has minimum_z of 'motion', which is no threshold",
        ),
        (
            {"minimum_z": {"motion": 3}, "limits": {"minimum_z": {"motion": math.inf}}},
            "the limit of minimum_z of 'motion' is inf; give a finite number",
        ),
    ],
)
def test_rules_that_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FilterRules.from_dict(values)


def test_deciding_needs_resolved_thresholds() -> None:
    rules = FilterRules(minimum_percentile={"motion": 20}, missing="keep")
    with pytest.raises(ValueError, match=r"minimum_percentile 20 of 'motion' needs a reference; "):
        rules.decide({})


@pytest.mark.parametrize(
    ("rules", "reference", "message"),
    [
        ({"minimum_z": {"motion": 1}}, {}, "minimum_z 1 of 'motion' has no reference; it covers"),
        (
            {"minimum_percentile": {"motion": 5}},
            {"motion": {"mean": 1, "std": 1}},
            "minimum_percentile 5 of 'motion' needs 'percentiles' of its reference, which has mean",
        ),
        (
            {"minimum_z": {"motion": 1}},
            {"motion": {"mean": 1, "std": 0}},
            "minimum_z 1 of 'motion': the standard deviation of its reference is 0",
        ),
        (
            {"minimum_percentile": {"motion": 5}},
            {"motion": {"percentiles": [2, 1]}},
            "the percentiles of its reference must rise from 0 to 100",
        ),
        (
            {"minimum_percentile": {"motion": 5}},
            {"motion": {"percentiles": [1]}},
            "the percentiles of its reference must rise from 0 to 100",
        ),
        (
            {"minimum": {"motion": 3}, "maximum_z": {"motion": 1}},
            {"motion": {"mean": 1, "std": 1}},
            "minimum 3 of 'motion' is above maximum_z 1 of 'motion'; no score passes both",
        ),
    ],
)
def test_references_that_are_refused(rules: Any, reference: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FilterRules(**rules).resolve(reference)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({}, "minimum_z 1 of 'motion' has no reference; it covers nothing"),
        ({"motion": [None]}, "'motion' has no scores; a reference needs one or more"),
        ({"motion": [1.0, math.nan]}, "'motion' has scores that are not finite; leave those"),
        ({"motion": [1.0]}, "the standard deviation of its reference is 0.0"),
    ],
)
def test_sets_that_are_no_reference(scores: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FilterRules(minimum_z={"motion": 1}).resolve_among(scores)

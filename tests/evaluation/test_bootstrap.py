"""Bootstrap intervals against scipy's, and what each kind of draw keeps together."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from aigv_reward.evaluation.bootstrap import (
    Bootstrap,
    Draw,
    Estimate,
    Indices,
    by_label,
    clusters,
    estimate,
    members,
    within,
)

VALUES = np.random.default_rng(7).normal(size=40) ** 2


def mean(index: Indices) -> dict[str, float]:
    return {"mean": float(VALUES[index].mean())}


def test_it_is_scipys_percentile_interval() -> None:
    settings = Bootstrap(resamples=500, seed=3, confidence=0.9)
    found = estimate({"mean": float(VALUES.mean())}, mean, members(40), settings)["mean"]
    scipys = scipy.stats.bootstrap(
        (VALUES,),
        np.mean,
        n_resamples=500,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(3),
        vectorized=False,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((scipys.low, scipys.high), rel=1e-12)
    assert found.value == VALUES.mean()
    assert found.undefined == 0


def test_a_seed_repeats_and_another_differs() -> None:
    one, again, other = (
        estimate({"mean": 1.0}, mean, members(40), Bootstrap(50, seed))["mean"]
        for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_all_measures_see_the_same_resamples() -> None:
    def both(index: Indices) -> dict[str, float]:
        return {"mean": float(VALUES[index].mean()), "double": float(2 * VALUES[index].mean())}

    found = estimate({"mean": 1.0, "double": 2.0}, both, members(40), Bootstrap(50))
    assert found["double"].low == 2 * found["mean"].low  # type: ignore[operator]


def test_without_resamples_there_is_a_value_and_no_interval() -> None:
    assert estimate({"mean": 1.5}, mean, members(40), Bootstrap(0)) == {"mean": Estimate(1.5)}


def test_what_is_undefined_is_missing_with_its_reason() -> None:
    found = estimate({"mean": math.nan}, mean, members(40), Bootstrap(9), reasons={"mean": "why"})
    assert found["mean"] == Estimate(None, reason="why")


@pytest.mark.parametrize(("defined", "interval"), [(6, True), (5, True), (4, False)])
def test_undefined_resamples_are_counted_and_left_out(defined: int, interval: bool) -> None:
    values = iter([*range(defined), *[math.nan] * (10 - defined)])

    def measure(index: Indices) -> dict[str, float]:
        return {"one": float(next(values))}

    found = estimate({"one": 1.0}, measure, members(3), Bootstrap(10))["one"]
    assert found.undefined == 10 - defined
    if interval:
        quantiles = np.quantile(range(defined), [0.025, 0.975])
        assert (found.low, found.high) == pytest.approx(tuple(quantiles))
    else:
        assert (found.low, found.high) == (None, None)


LABELS = ["a", "b", "a", "c", "b", "a"]


def test_labels_keep_their_order_and_members() -> None:
    assert [indices.tolist() for indices in by_label(LABELS)] == [[0, 2, 5], [1, 4], [3]]


def test_clusters_are_taken_whole() -> None:
    generator = np.random.default_rng(0)
    drawn = [np.bincount(clusters(LABELS)(generator), minlength=6) for _ in range(30)]
    for counts in drawn:
        assert counts[0] == counts[2] == counts[5]
        assert counts[1] == counts[4]
        assert counts[0] + counts[1] + counts[3] == 3
    assert len({tuple(counts) for counts in drawn}) > 3


def test_within_draws_each_label_as_often_as_it_stands() -> None:
    generator = np.random.default_rng(0)
    drawn = [within(LABELS)(generator) for _ in range(30)]
    for index in drawn:
        assert sorted(LABELS[i] for i in index) == sorted(LABELS)
    assert len({tuple(sorted(index)) for index in drawn}) > 3


@pytest.mark.parametrize("draw", [members(6), clusters(LABELS), within(LABELS)])
def test_every_member_is_drawn_about_once_a_resample(draw: Draw) -> None:
    generator = np.random.default_rng(0)
    counts = sum(np.bincount(draw(generator), minlength=6) for _ in range(2000)) / 2000
    assert counts == pytest.approx(np.ones(6), abs=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bootstrap(-1), r"resamples=-1; draw 0 \(no intervals\) or more"),
        (lambda: Bootstrap(confidence=1.0), r"confidence=1.0 must lie between 0 and 1"),
        (lambda: Bootstrap(confidence=0.0), r"confidence=0.0 must lie between 0 and 1"),
    ],
)
def test_settings_are_checked(make: Callable[[], Bootstrap], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

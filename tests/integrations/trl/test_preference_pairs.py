"""Which candidates make a pair, against every ordered pair that there is."""

from __future__ import annotations

from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.integrations.trl.preference_pairs import Pair, Strategy, pairs_of

# Few and whole values, so that many tie and every difference is exact.
GROUPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=7)
MARGINS = st.sampled_from([0.0, 1.0, 2.0, 2.5])


def of_group(
    group: list[tuple[int, int]], strategy: Strategy, min_margin: float
) -> tuple[list[float], list[Pair]]:
    totals = [float(a + 2 * b) for a, b in group]
    values = [{"a": float(a), "b": float(b)} for a, b in group]
    return totals, pairs_of(totals, values, strategy=strategy, min_margin=min_margin)


def in_order(pairs: list[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: (-pair.margin, pair.chosen, pair.rejected))


@given(GROUPS, MARGINS)
def test_all_are_the_pairs_over_the_margin(group: list[tuple[int, int]], margin: float) -> None:
    totals, found = of_group(group, "all", margin)
    assert found == in_order(
        [
            Pair(i, j, totals[i] - totals[j])
            for i, j in permutations(range(len(group)), 2)
            if totals[i] > totals[j] and totals[i] - totals[j] >= margin
        ]
    )


@given(GROUPS, MARGINS)
def test_pareto_are_better_in_every_dimension_by_the_margin(
    group: list[tuple[int, int]], margin: float
) -> None:
    totals, found = of_group(group, "pareto", margin)
    assert found == in_order(
        [
            Pair(i, j, totals[i] - totals[j])
            for i, j in permutations(range(len(group)), 2)
            if all(x > y and x - y >= margin for x, y in zip(group[i], group[j], strict=True))
        ]
    )


@given(GROUPS, MARGINS)
def test_best_and_worst_are_at_most_one_pair(group: list[tuple[int, int]], margin: float) -> None:
    totals, found = of_group(group, "best_worst", margin)
    width = max(totals) - min(totals) if totals else 0.0
    if width == 0 or width < margin:
        assert found == []
    else:
        best = totals.index(max(totals))
        worst = max(i for i, total in enumerate(totals) if total == min(totals))
        assert found == [Pair(best, worst, width)]  # equals rank by their place


@given(GROUPS, MARGINS, st.sampled_from(["best_worst", "all", "pareto"]), st.randoms())
def test_the_order_of_distinct_candidates_does_not_matter(
    group: list[tuple[int, int]], margin: float, strategy: Strategy, random: Random
) -> None:
    distinct = list({a + 2 * b: (a, b) for a, b in group}.values())
    shuffled = random.sample(distinct, len(distinct))
    sides = []
    for order in (distinct, shuffled):
        _, found = of_group(order, strategy, margin)
        sides.append({(order[p.chosen], order[p.rejected], p.margin) for p in found})
    assert sides[0] == sides[1]


def test_by_hand() -> None:
    """Totals 3, 5, 1; the second loses to the first in b alone."""
    totals = [3.0, 5.0, 1.0]
    values = [{"a": 1.0, "b": 2.0}, {"a": 4.0, "b": 1.0}, {"a": 0.5, "b": 0.5}]
    wide = [Pair(1, 2, 4.0), Pair(0, 2, 2.0), Pair(1, 0, 2.0)]
    assert pairs_of(totals, values, strategy="all", min_margin=0.0) == wide
    assert pairs_of(totals, values, strategy="all", min_margin=2.5) == wide[:1]
    assert pairs_of(totals, values, strategy="best_worst", min_margin=4.0) == wide[:1]
    assert pairs_of(totals, values, strategy="best_worst", min_margin=4.5) == []
    assert pairs_of(totals, values, strategy="pareto", min_margin=0.0) == wide[:2]
    assert pairs_of(totals, values, strategy="pareto", min_margin=0.5) == wide[:2]
    assert pairs_of(totals, values, strategy="pareto", min_margin=0.6) == []


@pytest.mark.parametrize("strategy", ["best_worst", "all", "pareto"])
def test_one_candidate_or_none_is_no_pair(strategy: Strategy) -> None:
    assert pairs_of([], [], strategy=strategy, min_margin=0.0) == []
    assert pairs_of([1.0], [{"a": 1.0}], strategy=strategy, min_margin=0.0) == []


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy is 'best'; choose best_worst, all, pareto"):
        pairs_of([1.0], [{}], strategy="best", min_margin=0.0)  # type: ignore[arg-type]
    for margin in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"min_margin is {margin}; it must be 0 or more"):
            pairs_of([1.0], [{}], strategy="all", min_margin=margin)
    values = [{"a": 1.0, "b": 1.0}, {"a": 0.0}]
    for totals in ([1.0, 0.0], [0.0, 1.0]):
        with pytest.raises(ValueError, match="scored in a, b and another in a; pareto compares"):
            pairs_of(totals, values, strategy="pareto", min_margin=0.0)

"""Pair accuracy by hand, against the definition counted slowly, and the published details."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.evaluation.pair_accuracy import (
    accuracy_with_ties,
    accuracy_without_ties,
    tie_threshold,
)

CHOICES = [1, 0, -1, 1, 0]
DIFFERENCES = [0.9, -0.1, -0.4, -0.2, 0.3]


def test_by_hand() -> None:
    """Sizes in order: .1 same, .2 A (wrong), .3 same, .4 B (right), .9 A (right).

    Right by sign alone: 2 of the 3 with a preference. Ties up to .1: 2 + 1 of 5; up to .2: 3; up to
    .3: 4; up to .4: 3; up to .9: 2.
    """
    assert accuracy_without_ties(CHOICES, DIFFERENCES) == 2 / 3
    assert accuracy_with_ties(CHOICES, DIFFERENCES) == 4 / 5
    assert tie_threshold(CHOICES, DIFFERENCES) == 0.3


def counted(choices: list[int], differences: list[float]) -> tuple[float, float]:
    """The best share right and its threshold, each number of ties counted from scratch."""
    order = sorted(range(len(choices)), key=lambda index: abs(differences[index]))
    best, threshold = -1.0, math.nan
    for ties in range(1, len(order) + 1):
        right = 0
        for place, index in enumerate(order):
            predicted = 0 if place < ties else int(np.sign(differences[index]))
            right += predicted == choices[index] and not (place >= ties and predicted == 0)
        if right / len(order) > best:
            best, threshold = right / len(order), abs(differences[order[ties - 1]])
    return best, threshold


@given(
    st.lists(
        st.tuples(st.sampled_from([-1, 0, 1]), st.integers(-4, 4).map(lambda half: half / 2)),
        min_size=2,
        max_size=15,
    )
)
def test_every_number_of_ties_is_tried(pairs: list[tuple[int, float]]) -> None:
    choices, differences = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    best, threshold = counted(choices, differences)
    assert accuracy_with_ties(choices, differences) == best
    assert tie_threshold(choices, differences) == threshold
    decided = [(c, d) for c, d in pairs if c != 0]
    without = accuracy_without_ties(choices, differences)
    if decided:
        assert without == sum(c * d > 0 for c, d in decided) / len(decided)
    else:
        assert math.isnan(without)


def test_no_tie_at_all_is_never_tried() -> None:
    """Both are right by sign, but the smaller difference has to count as a tie."""
    assert accuracy_with_ties([1, 1], [0.5, 0.2]) == 0.5
    assert accuracy_without_ties([1, 1], [0.5, 0.2]) == 1.0


def test_equal_differences_are_cut_in_the_order_given() -> None:
    """Same before A: the cut between them gets both. A before same: it gets neither or one."""
    assert accuracy_with_ties([0, 1], [0.5, 0.5]) == 1.0
    assert accuracy_with_ties([1, 0], [0.5, 0.5]) == 0.5


def test_equal_scores_prefer_nothing() -> None:
    assert accuracy_without_ties([1, -1], [0.0, 0.0]) == 0.0


def test_only_the_order_of_sizes_matters_with_ties() -> None:
    rng = np.random.default_rng(0)
    choices, differences = rng.integers(-1, 2, size=60), rng.normal(size=60)
    bent = np.sign(differences) * differences**2 * 1e3
    assert accuracy_with_ties(choices, differences) == accuracy_with_ties(choices, bent)
    assert accuracy_without_ties(choices, differences) == accuracy_without_ties(choices, bent)


@pytest.mark.parametrize("measure", [accuracy_with_ties, accuracy_without_ties, tie_threshold])
def test_what_is_no_pairs_is_refused(measure) -> None:
    with pytest.raises(ValueError, match=r"choices of shape \(2,\) and differences of"):
        measure([1, 0], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="differences hold 1 values that are not finite"):
        measure([1, 0], [0.1, math.nan])

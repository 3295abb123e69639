"""Correlations against hand-worked numbers, slow loops and invariants."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.evaluation.correlation import (
    LogisticFitError,
    challenge_score,
    krcc,
    plcc,
    plcc_logistic,
    rmse,
    srcc,
)

MEASURES = [srcc, plcc, krcc, challenge_score, plcc_logistic, rmse]
SCORES = [3.1, 2.0, 4.7, 4.2, 1.5, 3.3]
MOS = [2.9, 2.2, 4.1, 4.6, 1.0, 3.9]


def test_one_swap_by_hand() -> None:
    """Ranks of SCORES 3 2 6 5 1 4, of MOS 3 2 5 6 1 4: rho = 1 - 6 * 2 / (6 * 35) = 33/35.

    Of 15 pairs one is discordant: tau = (14 - 1) / 15.
    """
    assert srcc(SCORES, MOS) == pytest.approx(33 / 35, abs=1e-12)
    assert krcc(SCORES, MOS) == pytest.approx(13 / 15, abs=1e-12)


def test_ties_by_hand() -> None:
    """Ranks 1.5 1.5 3 against 1 2 3: centred -.5 -.5 1 and -1 0 1, so rho = 1.5 / sqrt(1.5 * 2).

    One of three pairs is tied in the scores: tau-b = 2 / sqrt(2 * 3).
    """
    assert srcc([1, 1, 2], [1, 2, 3]) == pytest.approx(1.5 / math.sqrt(3))
    assert krcc([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(6))


def test_raw_plcc_by_hand() -> None:
    """Centred -1 0 1 and -4/3 -1/3 5/3: 3 / sqrt(2 * 14/3)."""
    assert plcc([1, 2, 3], [1, 2, 4]) == pytest.approx(3 / math.sqrt(28 / 3))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_krcc_is_the_count_of_pairs(points: list[tuple[int, int]]) -> None:
    signs = [(np.sign(a[0] - b[0]), np.sign(a[1] - b[1])) for a, b in combinations(points, 2)]
    untied = [sum(bool(sign[side]) for sign in signs) for side in (0, 1)]
    found = krcc(*np.array(points, dtype=float).T)
    if 0 in untied:
        assert math.isnan(found)
    else:
        expected = sum(x * y for x, y in signs) / math.sqrt(untied[0] * untied[1])
        assert found == pytest.approx(expected, abs=1e-12)


def test_ranks_ignore_a_rising_map_and_plcc_a_line() -> None:
    mapped = np.exp(np.array(SCORES))
    assert srcc(mapped, MOS) == srcc(SCORES, MOS)
    assert krcc(mapped, MOS) == krcc(SCORES, MOS)
    assert plcc(mapped, MOS) != pytest.approx(plcc(SCORES, MOS), abs=1e-3)
    assert plcc(3 * np.array(SCORES) - 7, MOS) == pytest.approx(plcc(SCORES, MOS))


@pytest.mark.parametrize("measure", [srcc, plcc, krcc, challenge_score])
def test_falling_scores_correlate_negatively(measure: Callable[..., float]) -> None:
    falling = [-score for score in SCORES]
    assert measure(falling, MOS) == pytest.approx(-measure(SCORES, MOS))
    assert measure(SCORES, SCORES) == pytest.approx(1.0)


def test_the_challenge_score_is_the_mean_of_raw_plcc_and_srcc() -> None:
    assert challenge_score(SCORES, MOS) == (plcc(SCORES, MOS) + srcc(SCORES, MOS)) / 2


@pytest.mark.parametrize("measure", MEASURES)
def test_tensors_arrays_and_lists_give_the_same(measure: Callable[..., float]) -> None:
    expected = measure(SCORES, MOS)
    tensors = (torch.tensor(SCORES, dtype=torch.float64), torch.tensor(MOS, dtype=torch.float64))
    assert measure(*tensors) == measure(np.array(SCORES), np.array(MOS)) == expected


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("constant", ["scores", "targets"])
def test_a_constant_correlates_with_nothing(measure: Callable[..., float], constant: str) -> None:
    equal = [2.0] * 6
    both = (equal, MOS) if constant == "scores" else (SCORES, equal)
    assert math.isnan(measure(*both))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([1.0], [1.0], r"scores of shape \(1,\) and targets of shape \(1,\); both must be"),
        ([1.0, 2.0], [1.0], r"scores of shape \(2,\) and targets of shape \(1,\)"),
        ([[1.0], [2.0]], [[1.0], [2.0]], r"scores of shape \(2, 1\)"),
        ([1.0, math.nan], [1.0, 2.0], r"scores hold 1 values that are not finite, the first at"),
        ([1.0, 2.0], [math.inf, -math.inf], r"targets hold 2 values that .* at index 0; leave"),
    ],
)
def test_what_cannot_be_correlated_is_refused(
    measure: Callable[..., float], scores: list[float], targets: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure(scores, targets)


@pytest.mark.parametrize("measure", [plcc_logistic, rmse])
def test_without_a_fit_there_is_no_figure(measure: Callable[..., float]) -> None:
    """Raw PLCC of these four points is defined; it must not stand in."""
    assert plcc(SCORES[:4], MOS[:4]) > 0.8
    with pytest.raises(LogisticFitError, match="4 points do not determine the 4 parameters"):
        measure(SCORES[:4], MOS[:4])

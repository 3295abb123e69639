"""The four-parameter logistic against known parameters and the published way of fitting it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import curve_fit

from aigv_reward.evaluation.correlation import plcc, plcc_logistic, rmse
from aigv_reward.evaluation.logistic import Logistic, LogisticFitError, fit_logistic

TRUE = Logistic(upper=4.8, lower=1.2, center=3.02, width=0.04)
"""On the narrow range that a converted checkpoint's scores have."""


def bent(seed: int, *, count: int = 200, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and opinions that follow TRUE of them."""
    rng = np.random.default_rng(seed)
    scores = 3.0 + 0.08 * rng.normal(size=count)
    return scores, TRUE(scores) + noise * rng.normal(size=count)


def published_fit(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The mapped scores by the start and the parameters that video quality papers use."""

    def logistic(x, b1, b2, b3, b4):
        return b2 + (b1 - b2) / (1 + np.exp(-(x - b3) / np.abs(b4)))

    start = [targets.max(), targets.min(), scores.mean(), 0.5]
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore")
        parameters, _ = curve_fit(logistic, scores, targets, start, maxfev=100_000)
        return logistic(scores, *parameters)


def test_it_is_the_formula() -> None:
    """Half way at the centre; one width above it 1 / (1 + 1/e) of the way."""
    assert TRUE(3.02) == pytest.approx(3.0)
    assert TRUE(3.06) == pytest.approx(1.2 + 3.6 / (1 + np.exp(-1)))
    assert TRUE([-1e9, 1e9]) == pytest.approx([1.2, 4.8])


def test_known_parameters_are_found() -> None:
    fitted = fit_logistic(*bent(0, noise=0.0))
    for name in ("upper", "lower", "center", "width"):
        assert getattr(fitted, name) == pytest.approx(getattr(TRUE, name), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_it_fits_as_well_as_the_published_way(seed: int) -> None:
    scores, targets = bent(seed)
    mapped = published_fit(scores, targets)
    assert plcc_logistic(scores, targets) == pytest.approx(plcc(mapped, targets), abs=1e-5)
    assert rmse(scores, targets) == pytest.approx(np.sqrt(np.mean((mapped - targets) ** 2)), 1e-5)


def test_the_map_straightens_what_is_bent() -> None:
    scores, targets = bent(0, noise=0.05)
    assert plcc_logistic(scores, targets) > plcc(scores, targets) + 0.01


def test_scales_do_not_matter() -> None:
    scores, targets = bent(1)
    expected = plcc_logistic(scores, targets)
    assert plcc_logistic(1e4 * scores - 3, 25 * targets + 7) == pytest.approx(expected, abs=1e-9)
    assert rmse(1e4 * scores - 3, 25 * targets + 7) == pytest.approx(25 * rmse(scores, targets))


def test_straight_data_converge() -> None:
    """Ever wider logistics fit a line ever better; the fit must stop all the same."""
    scores = np.linspace(0, 1, 50)
    assert plcc_logistic(scores, 3 * scores - 1) == pytest.approx(1.0, abs=1e-8)
    assert rmse(scores, 3 * scores - 1) < 1e-4


def test_a_falling_map_has_a_negative_sign() -> None:
    scores, targets = bent(2)
    upside_down = -scores
    assert not fit_logistic(upside_down, targets).rising
    assert plcc_logistic(upside_down, targets) == pytest.approx(-plcc_logistic(scores, targets))


def test_a_start_is_only_where_the_fit_begins() -> None:
    scores, targets = bent(3)
    expected = fit_logistic(scores, targets)
    for start in (
        Logistic(upper=5.0, lower=1.0, center=2.95, width=0.1),
        Logistic(upper=1.0, lower=5.0, center=2.95, width=0.1),  # slopes the other way
    ):
        fitted = fit_logistic(scores, targets, start=start)
        assert fitted.rising
        assert fitted(scores) == pytest.approx(expected(scores), abs=1e-3)


def test_a_resample_fits_from_the_whole_set() -> None:
    scores, targets = bent(4)
    index = np.random.default_rng(0).integers(200, size=200)
    start = fit_logistic(scores, targets)
    quick = fit_logistic(scores[index], targets[index], start=start, tolerance=1e-5)
    slow = fit_logistic(scores[index], targets[index])
    assert quick(scores) == pytest.approx(slow(scores), abs=0.02)


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 5], "4 points do not determine the 4 parameters of the logistic"),
        ([2] * 6, [1, 2, 3, 4, 5, 6], "all 6 scores are equal; no logistic fits a constant"),
        ([1, 2, 3, 4, 5, 6], [3] * 6, "all 6 targets are equal; no logistic fits a constant"),
        ([0, 0, 0, -1, 0], [-1, -2, 1, 0, 2], "fitted to 5 points is flat where the scores are"),
        ([0, 0, 0, 2, -1], [0, 0, 0, 0, 3], "did not converge on 5 points in 5000 evaluations"),
    ],
)
def test_what_has_no_fit_says_so(scores: list[float], targets: list[float], message: str) -> None:
    with pytest.raises(LogisticFitError, match=message):
        fit_logistic(scores, targets)


@pytest.mark.filterwarnings("error")
def test_a_step_is_fitted_without_a_warning() -> None:
    """Clusters far apart for their width: exponentials overflow in a careless logistic."""
    scores = np.array([0.0, 1e-6, 2e-6, 1.0, 1 + 1e-6, 1 + 2e-6])
    targets = np.array([1.0, 1.1, 0.9, 4.0, 4.1, 3.9])
    assert plcc_logistic(scores, targets) == pytest.approx(plcc(scores, targets), abs=1e-3)

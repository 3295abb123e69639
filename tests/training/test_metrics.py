"""Figures of held-out rows and pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from aigv_reward.training.calibration import calibration_of
from aigv_reward.training.metrics import choose_metric, quality_metrics
from aigv_reward.training.opinions import Opinion, Preference

NAN = np.nan


def test_metrics_of_mixed_rows_and_pairs() -> None:
    """4 rows of technical, of which 3 have motion; 3 pairs of motion: right, wrong, a tie."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(7, 2, 2))
    scores[4, :, 1], scores[5, :, 1] = (3, 2), (3, 2)
    targets = np.full((7, 2), NAN)
    targets[:4, 0], targets[:3, 1] = [1, 2, 2, 4], [5, 1, 3]
    choices = np.full((7, 2), NAN)
    choices[4:, 1] = [1, -1, 0]
    found = quality_metrics(scores, targets, choices, ["technical", "motion"])
    expected = {
        "srcc_technical": spearmanr(scores[:4, 0, 0], [1, 2, 2, 4]).statistic,
        "srcc_motion": spearmanr(scores[:3, 0, 1], [5, 1, 3]).statistic,
        "plcc_technical": pearsonr(scores[:4, 0, 0], [1, 2, 2, 4]).statistic,
        "plcc_motion": pearsonr(scores[:3, 0, 1], [5, 1, 3]).statistic,
        "pair_accuracy_motion": 0.5,
        "pair_accuracy": 0.5,
        "rows": 4,
        "pairs": 3,
    }
    for name in ("srcc", "plcc"):
        expected[name] = (expected[f"{name}_technical"] + expected[f"{name}_motion"]) / 2
    assert found == pytest.approx(expected)


def test_what_has_no_figure_is_absent_or_nan() -> None:
    scores = np.ones((3, 2, 1))
    same = np.full((3, 1), 2.0)
    nothing = np.full((3, 1), NAN)
    assert quality_metrics(scores, same, nothing, ["motion"]) == {"rows": 3, "pairs": 0}
    found = quality_metrics(scores, np.array([[1.0], [2], [3]]), nothing, ["motion"])
    assert np.isnan(found["srcc"]) and np.isnan(found["plcc_motion"])


def rows(*scores: float) -> list:
    return [Opinion(Path(str(i)), None, {"motion": score}) for i, score in enumerate(scores)]


def pairs(*choices: str) -> list:
    return [Preference(Path("a"), Path("b"), None, {"motion": choice}) for choice in choices]


@pytest.mark.parametrize(
    ("items", "asked", "metric"),
    [
        (rows(1, 2), "auto", "srcc"),
        (pairs("A", "B"), "auto", "pair_accuracy"),
        ([*rows(1, 2), *pairs("A", "B")], "auto", "srcc"),
        ([*rows(1, 2), *pairs("A", "B")], "eval_pair_accuracy", "pair_accuracy"),
        (rows(1, 2), "srcc_motion", "srcc_motion"),
        (rows(1, 1), "loss", "loss"),
    ],
)
def test_the_metric_that_stops_training(items: list, asked: str, metric: str) -> None:
    assert choose_metric(items, ["motion"], asked) == metric


@pytest.mark.parametrize(
    ("items", "asked"),
    [
        ([], "auto"),
        ([], "loss"),
        (rows(2, 2), "auto"),
        (pairs("A", "same"), "auto"),
        (rows(1, 2), "pair_accuracy"),
        (rows(1, 2), "krcc"),
    ],
)
def test_a_metric_that_validation_cannot_give(items: list, asked: str) -> None:
    message = rf"metric_for_best_model '{asked}' needs 2 or more .* raise validation_fraction, give"
    with pytest.raises(ValueError, match=message):
        choose_metric(items, ["motion"], asked)
    with pytest.raises(ValueError, match=message):
        choose_metric(items, ["technical"], asked)


def test_calibration_by_hand() -> None:
    """1, 2, 3, 4, 5: mean 3, std sqrt(10 / 4), percentile 5 at 1 + 0.05 * 4."""
    (values,) = calibration_of({"motion": [5.0, 1.0, 4.0, 2.0, 3.0]}).values()
    assert values["mean"] == 3 and values["std"] == pytest.approx(2.5**0.5)
    assert values["percentiles"] == pytest.approx([1 + 0.2 * step for step in range(21)])


@pytest.mark.parametrize("scores", [[], [3.0], [2.0, 2.0]])
def test_scores_that_do_not_differ_calibrate_nothing(scores: list[float]) -> None:
    message = rf"motion has {len(scores)} scores over the calibration set, which do not differ;"
    with pytest.raises(ValueError, match=message):
        calibration_of({"motion": scores})

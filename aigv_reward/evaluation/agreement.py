"""How well scores agree with people, with intervals, on one set of videos or pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from aigv_reward.evaluation.bootstrap import (
    Bootstrap,
    Draw,
    Estimate,
    Indices,
    estimate,
    members,
    within,
)
from aigv_reward.evaluation.correlation import krcc, plcc, plcc_after, rmse_after, srcc
from aigv_reward.evaluation.logistic import Logistic, LogisticFitError, fit_logistic
from aigv_reward.evaluation.pair_accuracy import (
    accuracy_with_ties,
    accuracy_without_ties,
    tie_threshold,
)
from aigv_reward.evaluation.paired import Floats, constant
from aigv_reward.evaluation.result import Agreement

FEWEST: Final = 5
"""Videos or pairs that a figure is given for: what the logistic's four parameters need."""

RESAMPLED_TOLERANCE: Final = 1e-6
"""Of the logistic's fit to a resample, which begins at the fit to all: PLCC is then exact to about
1e-4, unless another logistic is the best one there."""


def opinion_agreement(scores: Floats, targets: Floats, bootstrap: Bootstrap) -> Agreement:
    """All correlations of (N,) scores with (N,) opinions, and the RMSE.

    Args:
        scores, targets: finite, in the same order.
        bootstrap: how the intervals are made, by resampling videos.
    """
    measures = ("srcc", "plcc", "plcc_logistic", "krcc", "rmse", "challenge")
    reason = _no_correlation(scores, targets)
    if reason is not None:
        return Agreement(len(scores), {one: Estimate(None, reason=reason) for one in measures})
    logistic: Logistic | None = None
    reasons = {}
    try:
        logistic = fit_logistic(scores, targets)
    except LogisticFitError as error:
        reasons = dict.fromkeys(("plcc_logistic", "rmse"), str(error))

    def measure(index: Indices) -> dict[str, float]:
        x, y = scores[index], targets[index]
        fitted = None
        if logistic is not None:
            try:
                fitted = fit_logistic(x, y, start=logistic, tolerance=RESAMPLED_TOLERANCE)
            except LogisticFitError:
                fitted = None
        return _correlations(x, y, fitted)

    values = _correlations(scores, targets, logistic)
    draw = members(len(scores))
    return Agreement(
        len(scores),
        estimate(values, measure, draw, bootstrap, reasons=reasons),
        logistic=logistic,
    )


def _correlations(x: Floats, y: Floats, logistic: Logistic | None) -> dict[str, float]:
    rank, linear = srcc(x, y), plcc(x, y)
    return {
        "srcc": rank,
        "plcc": linear,
        "plcc_logistic": float("nan") if logistic is None else plcc_after(logistic, x, y),
        "krcc": krcc(x, y),
        "rmse": float("nan") if logistic is None else rmse_after(logistic, x, y),
        "challenge": (linear + rank) / 2,
    }


def system_agreement(
    scores: Floats, targets: Floats, generators: Sequence[str], bootstrap: Bootstrap
) -> Agreement:
    """Correlations of the generators' mean scores with their mean opinions.

    The intervals come from resampling each generator's videos: they say how well its mean is
    known, not how other generators would do.

    Args:
        scores, targets: (N,) of single videos.
        generators: (N,) who made each.
        bootstrap: how the intervals are made.
    """
    names = sorted(set(generators))
    labels = np.array([names.index(one) for one in generators])

    def measure(index: Indices) -> dict[str, float]:
        counts = np.bincount(labels[index], minlength=len(names))
        x, y = (
            np.bincount(labels[index], values[index], minlength=len(names)) / counts
            for values in (scores, targets)
        )
        return {"srcc": srcc(x, y), "plcc": plcc(x, y), "krcc": krcc(x, y)}

    values = measure(np.arange(len(scores)))
    reason = "the means of all generators are equal"
    estimates = estimate(
        values, measure, within(generators), bootstrap, reasons=dict.fromkeys(values, reason)
    )
    return Agreement(len(names), estimates)


def preference_agreement(
    choices: Floats, differences: Floats, draw: Draw, bootstrap: Bootstrap
) -> Agreement:
    """Accuracy with and without ties of (N,) score differences on (N,) choices.

    Args:
        choices: 1 where A was preferred, -1 where B was, 0 where they were the same.
        differences: score of A minus score of B.
        draw: one resample of the pairs.
        bootstrap: how many of them.
    """
    measures = ("with_ties", "without_ties")
    ties = int((choices == 0).sum())
    if len(choices) < FEWEST:
        reason = f"{len(choices)} pairs; a figure needs {FEWEST} or more"
        missing = {one: Estimate(None, reason=reason) for one in measures}
        return Agreement(len(choices), missing, ties=ties)

    def measure(index: Indices) -> dict[str, float]:
        return {
            "with_ties": accuracy_with_ties(choices[index], differences[index]),
            "without_ties": accuracy_without_ties(choices[index], differences[index]),
        }

    reasons = {"without_ties": "people called all pairs the same"}
    values = measure(np.arange(len(choices)))
    return Agreement(
        len(choices),
        estimate(values, measure, draw, bootstrap, reasons=reasons),
        threshold=tie_threshold(choices, differences),
        ties=ties,
    )


def _no_correlation(scores: Floats, targets: Floats) -> str | None:
    """Why nothing can be correlated, None if it can."""
    if len(scores) < FEWEST:
        return f"{len(scores)} videos; a figure needs {FEWEST} or more"
    for name, values in (("scores", scores), ("opinions", targets)):
        if constant(values):
            return f"all {len(values)} {name} are equal"
    return None

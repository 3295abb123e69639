"""How well scores agree with opinions: SRCC, KRCC, PLCC raw and after a logistic map, RMSE.

All take (N,) scores and (N,) targets in the same order, as sequences, arrays or CPU tensors.
Where the scores or the targets are all equal no correlation is defined, and the result is nan:
never 0, which would claim that they are independent. Reports show nan as missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kendalltau, rankdata

from aigv_reward.evaluation.logistic import Logistic, LogisticFitError, fit_logistic
from aigv_reward.evaluation.paired import Floats, constant, paired

__all__ = [
    "Logistic",
    "LogisticFitError",
    "challenge_score",
    "fit_logistic",
    "krcc",
    "plcc",
    "plcc_after",
    "plcc_logistic",
    "rmse",
    "rmse_after",
    "srcc",
]


def srcc(scores: ArrayLike, targets: ArrayLike) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share their mean rank.

    Args:
        scores, targets: (N,), N at least 2.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    x, y = paired(scores, targets)
    return _pearson(rankdata(x), rankdata(y))


def plcc(scores: ArrayLike, targets: ArrayLike) -> float:
    """Pearson's linear correlation of the scores as they are, -1 to 1.

    Args:
        scores, targets: (N,), N at least 2.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    return _pearson(*paired(scores, targets))


def krcc(scores: ArrayLike, targets: ArrayLike) -> float:
    """Kendall's rank correlation, -1 to 1, in the form tau-b that corrects for ties.

    Args:
        scores, targets: (N,), N at least 2.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    x, y = paired(scores, targets)
    if constant(x) or constant(y):
        return float("nan")
    return float(kendalltau(x, y).statistic)


def challenge_score(scores: ArrayLike, targets: ArrayLike) -> float:
    """(PLCC + SRCC) / 2, which the NTIRE challenges rank by; of raw PLCC, so no fit enters it.

    Args:
        scores, targets: (N,), N at least 2.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    return (plcc(scores, targets) + srcc(scores, targets)) / 2


def plcc_logistic(scores: ArrayLike, targets: ArrayLike) -> float:
    """Pearson's correlation of the targets with the scores after the logistic fitted to them.

    Its sign is that of the logistic's slope: the fit is free to fall, and a model that orders
    videos the wrong way would otherwise get the figure of one that orders them well.

    Args:
        scores, targets: (N,), N at least 5.

    Raises:
        LogisticFitError: there is no fit; raw PLCC does not stand in for it.
        ValueError: other shapes, or values that are not finite.
    """
    x, y = paired(scores, targets)
    if constant(x) or constant(y):
        return float("nan")
    return plcc_after(fit_logistic(x, y), x, y)


def rmse(scores: ArrayLike, targets: ArrayLike) -> float:
    """Root mean square of targets minus scores after the fitted logistic, in units of the targets.

    Args:
        scores, targets: (N,), N at least 5.

    Raises:
        LogisticFitError: there is no fit.
        ValueError: other shapes, or values that are not finite.
    """
    x, y = paired(scores, targets)
    if constant(x) or constant(y):
        return float("nan")
    return rmse_after(fit_logistic(x, y), x, y)


def plcc_after(logistic: Logistic, scores: Floats, targets: Floats) -> float:
    """`plcc_logistic` by a logistic that is known."""
    sign = 1.0 if logistic.rising else -1.0
    return sign * _pearson(logistic(scores), targets)


def rmse_after(logistic: Logistic, scores: Floats, targets: Floats) -> float:
    """`rmse` by a logistic that is known."""
    return float(np.sqrt(np.mean((targets - logistic(scores)) ** 2)))


def _pearson(x: Floats, y: Floats) -> float:
    if constant(x) or constant(y):
        return float("nan")
    return float(np.clip(np.corrcoef(x, y)[0, 1], -1.0, 1.0))

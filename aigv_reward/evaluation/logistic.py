"""The four-parameter logistic that video quality research maps scores by before PLCC and RMSE."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.special import expit

from aigv_reward.evaluation.paired import Floats, constant, paired

MAX_EVALUATIONS: Final = 5000
"""Of the logistic in one fit; fits that converge take tens to hundreds."""

LOG_WIDTHS: Final = (-20.0, 5.0)
"""Of a step and of what is straight to one in 10 000 over five standard deviations, for scores of
standard deviation 1. Straight data would be fitted ever better by ever wider logistics."""

FLAT: Final = 1e-9
"""Range of the mapped scores, in standard deviations of the targets, below which nothing is
left of them but rounding."""


class LogisticFitError(ValueError):
    """No logistic could be fitted, so there is no PLCC after it and no RMSE."""


@dataclass(frozen=True)
class Logistic:
    """`lower + (upper - lower) / (1 + exp(-(score - center) / width))`.

    Attributes:
        upper, lower: the opinions that very high and very low scores are mapped to; `upper` is
            the smaller of the two where opinions fall as scores rise.
        center: the score half way between.
        width: in scores, above 0.
    """

    upper: float
    lower: float
    center: float
    width: float

    @property
    def rising(self) -> bool:
        """Whether higher scores stand for higher opinions."""
        return self.upper >= self.lower

    def __call__(self, scores: ArrayLike) -> Floats:
        """The opinions that the scores stand for, of the same shape."""
        rise = expit((np.asarray(scores, dtype=np.float64) - self.center) / self.width)
        return np.asarray(self.lower + (self.upper - self.lower) * rise, dtype=np.float64)


def fit_logistic(
    scores: ArrayLike,
    targets: ArrayLike,
    *,
    start: Logistic | None = None,
    tolerance: float = 1e-8,
) -> Logistic:
    """The logistic with the least squared distance to the targets.

    The fit runs on standardised scores and targets, so it does not depend on their scales. It
    finds a local optimum: that of the slope the correlation has, or the one near `start`.

    Args:
        scores, targets: (N,), N at least 5.
        start: where to begin, such as the fit to the set that these points were drawn from; passed
            over where it slopes against the correlation.
        tolerance: share of the squared distance that a step must still save. Nearly straight
            data have a long valley of logistics that are all as good.

    Raises:
        LogisticFitError: fewer than 5 points, all scores or all targets equal, no convergence, or
            a logistic that is flat where the scores are.
        ValueError: other shapes, or values that are not finite.

    References: VQEG, Final report on the validation of objective models of video quality
    assessment (2000).
    """
    x, y = paired(scores, targets)
    if len(x) < 5:
        raise LogisticFitError(
            f"{len(x)} points do not determine the 4 parameters of the logistic; give 5 or more"
        )
    for name, values in (("scores", x), ("targets", y)):
        if constant(values):
            raise LogisticFitError(f"all {len(x)} {name} are equal; no logistic fits a constant")
    (x_mean, x_std), (y_mean, y_std) = (x.mean(), x.std()), (y.mean(), y.std())
    z, t = (x - x_mean) / x_std, (y - y_mean) / y_std
    rising = bool(np.mean(z * t) >= 0)
    if start is None or start.rising != rising:
        reach = 2.0 if rising else -2.0
        begin = [reach, -reach, 0.0, 0.0]
    else:
        begin = [
            (start.upper - y_mean) / y_std,
            (start.lower - y_mean) / y_std,
            (start.center - x_mean) / x_std,
            np.log(start.width / x_std),
        ]
    try:
        with np.errstate(all="ignore"), _without_covariance():
            (upper, lower, center, log_width), _ = curve_fit(
                _logistic, z, t, begin, jac=_slopes, ftol=tolerance, maxfev=MAX_EVALUATIONS
            )
    except RuntimeError as error:
        raise LogisticFitError(
            f"the logistic did not converge on {len(x)} points in {MAX_EVALUATIONS} evaluations; "
            "SRCC and raw PLCC need no fit"
        ) from error
    fitted = Logistic(
        upper=float(y_mean + y_std * upper),
        lower=float(y_mean + y_std * lower),
        center=float(x_mean + x_std * center),
        width=float(x_std) / _steepness(log_width),
    )
    # Written so that a range of nan is flat too.
    if not np.ptp(fitted(x)) > FLAT * y_std:
        raise LogisticFitError(
            f"the logistic fitted to {len(x)} points is flat where the scores are; "
            "SRCC and raw PLCC need no fit"
        )
    return fitted


def _logistic(z: Floats, upper: float, lower: float, center: float, log_width: float) -> Floats:
    rise = expit((z - center) * _steepness(log_width))
    return np.asarray(lower + (upper - lower) * rise)


def _slopes(z: Floats, upper: float, lower: float, center: float, log_width: float) -> Floats:
    """(N, 4), the derivatives of `_logistic` by its parameters."""
    steepness = _steepness(log_width)
    slopes = np.empty((len(z), 4))
    slopes[:, 0] = expit((z - center) * steepness)
    slopes[:, 1] = 1 - slopes[:, 0]
    slopes[:, 2] = slopes[:, 0] * slopes[:, 1] * ((lower - upper) * steepness)
    bounded = LOG_WIDTHS[0] < log_width < LOG_WIDTHS[1]
    slopes[:, 3] = slopes[:, 2] * (z - center) if bounded else 0.0
    return slopes


def _steepness(log_width: float) -> float:
    return math.exp(-min(max(log_width, LOG_WIDTHS[0]), LOG_WIDTHS[1]))


@contextmanager
def _without_covariance() -> Iterator[None]:
    """No warning that the covariance of the parameters is unknown; nobody reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        yield

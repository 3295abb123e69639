"""Scores and targets as arrays that belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def paired(
    scores: ArrayLike, targets: ArrayLike, names: tuple[str, str] = ("scores", "targets")
) -> tuple[Floats, Floats]:
    """Both as (N,) float64, N at least 2.

    Args:
        scores, targets: numbers in the same order.
        names: what an error calls them.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(
            f"{names[0]} of shape {x.shape} and {names[1]} of shape {y.shape}; both must be (N,), "
            "N at least 2"
        )
    for name, values in zip(names, (x, y), strict=True):
        wrong = ~np.isfinite(values)
        if wrong.any():
            raise ValueError(
                f"{name} hold {wrong.sum()} values that are not finite, the first at index "
                f"{int(wrong.argmax())}; leave out the videos that have none"
            )
    return x, y


def constant(values: Floats) -> bool:
    """Whether all are equal, so that they correlate with nothing."""
    return bool((values == values[0]).all())

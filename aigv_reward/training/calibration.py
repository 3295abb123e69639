"""Where scores lie over a named set of videos, as a checkpoint carries it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aigv_reward.dimensions import Dimension


def calibration_of(scores: Mapping[Dimension, Sequence[float]]) -> dict[str, dict[str, Any]]:
    """{dimension: mean, std and the percentiles 0, 5, .., 100}, as `AIGVRewardConfig` takes it.

    Args:
        scores: {dimension: score of each video}.

    Raises:
        ValueError: a dimension has fewer than 2 scores, or all of them are equal.
    """
    result: dict[str, dict[str, Any]] = {}
    for name, values in scores.items():
        column = np.asarray(values, dtype=np.float64)
        if len(column) < 2 or not column.std() > 0:
            raise ValueError(
                f"{name} has {len(column)} scores over the calibration set, which do not differ; "
                "calibrate on 2 or more different videos with calibration_opinions"
            )
        result[name] = {
            "mean": float(column.mean()),
            "std": float(column.std(ddof=1)),
            "percentiles": np.percentile(column, np.arange(0, 101, 5)).tolist(),
        }
    return result

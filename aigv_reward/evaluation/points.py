"""What is both rated and scored in one dimension, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from aigv_reward.dimensions import Dimension
from aigv_reward.evaluation.paired import Floats
from aigv_reward.training.opinions import Choice, Opinion, Preference

Scores = Mapping[Path, Mapping[Dimension, float]]

SIGNS: Final[Mapping[Choice, int]] = {"A": 1, "B": -1, "same": 0}


def opinion_points(
    name: Dimension, opinions: Sequence[Opinion], scores: Scores
) -> tuple[Floats, Floats, list[str | None]]:
    """(N,) scores, (N,) opinions and N generators, of the videos that have both."""
    rated = [one for one in opinions if name in one.scores and name in scores.get(one.path, ())]
    return (
        np.array([scores[one.path][name] for one in rated], dtype=np.float64),
        np.array([one.scores[name] for one in rated], dtype=np.float64),
        [one.generator for one in rated],
    )


def preference_points(
    name: Dimension, preferences: Sequence[Preference], scores: Scores
) -> tuple[Floats, Floats, list[Preference]]:
    """(N,) choices (1 for A, -1 for B, 0 for same), (N,) score differences A - B, and the pairs."""
    compared = [
        pair
        for pair in preferences
        if name in pair.choices
        and name in scores.get(pair.path_a, ())
        and name in scores.get(pair.path_b, ())
    ]
    return (
        np.array([SIGNS[pair.choices[name]] for pair in compared], dtype=np.float64),
        np.array(
            [scores[pair.path_a][name] - scores[pair.path_b][name] for pair in compared],
            dtype=np.float64,
        ),
        compared,
    )

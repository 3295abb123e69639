"""How often score differences agree with preferences, as VideoGen-RewardBench counts it.

Both measures take (N,) choices, 1 where video A was preferred, -1 where B was and 0 where they were
the same, and (N,) differences, score of A minus score of B.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from aigv_reward.evaluation.paired import Floats, paired

NAMES: Final = ("choices", "differences")


def accuracy_without_ties(choices: ArrayLike, differences: ArrayLike) -> float:
    """Share of the pairs with a preference in which the preferred video scores higher, 0 to 1.

    Equal scores are wrong. nan where no pair has a preference.

    Args:
        choices, differences: (N,), N at least 2.

    Raises:
        ValueError: other shapes, or values that are not finite.

    References: `calc_accuracy_without_ties` of github.com/KwaiVGI/VideoAlign.
    """
    choice, difference = paired(choices, differences, NAMES)
    decided = choice != 0
    if not decided.any():
        return float("nan")
    return float(np.mean(choice[decided] * difference[decided] > 0))


def accuracy_with_ties(choices: ArrayLike, differences: ArrayLike) -> float:
    """Share of pairs predicted right, at the threshold below which a difference is a tie, 0 to 1.

    The pairs are sorted by the size of their difference, equal ones in the order given. For every
    k from 1 to N the first k are predicted to be ties and the others by the sign of their
    difference, and the best k counts. The threshold is thus chosen on the very choices it is
    judged by: a model is not asked for one, and the figure says what it could reach.

    Two details are kept so that figures can be compared with published ones: no tie at all
    (k = 0) is not tried, and k may cut through pairs of equal difference.

    Args:
        choices, differences: (N,), N at least 2.

    Raises:
        ValueError: other shapes, or values that are not finite.

    References: `calc_accuracy_with_ties` of github.com/KwaiVGI/VideoAlign, after algorithm 1 of
    Deutsch et al., Ties Matter (arXiv 2305.14324).
    """
    _, accuracies = _sweep(choices, differences)
    return float(accuracies.max())


def tie_threshold(choices: ArrayLike, differences: ArrayLike) -> float:
    """The largest difference that `accuracy_with_ties` counts as a tie, at its first best k.

    Args:
        choices, differences: (N,), N at least 2.

    Raises:
        ValueError: other shapes, or values that are not finite.
    """
    sizes, accuracies = _sweep(choices, differences)
    return float(sizes[accuracies.argmax()])


def _sweep(choices: ArrayLike, differences: ArrayLike) -> tuple[Floats, Floats]:
    """Differences in rising size, and the accuracy if all up to each of them are ties."""
    choice, difference = paired(choices, differences, NAMES)
    right = choice * difference > 0
    order = np.argsort(np.abs(difference), kind="stable")
    gains = np.where(choice == 0, 1, -right.astype(np.int64))[order]
    hits = right.sum() + np.cumsum(gains)
    return np.abs(difference)[order], hits / len(choice)

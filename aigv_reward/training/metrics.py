"""How well a model in training agrees with the opinions that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aigv_reward.dimensions import Dimension
from aigv_reward.evaluation.correlation import plcc, srcc
from aigv_reward.evaluation.pair_accuracy import accuracy_without_ties
from aigv_reward.training.opinions import Opinion, Preference
from aigv_reward.training.splits import Item

Floats = NDArray[np.floating]


def choose_metric(items: Sequence[Item], dimensions: Sequence[Dimension], asked: str) -> str:
    """The metric that decides when to stop; "auto" is SRCC, or pair accuracy without opinions.

    Args:
        items: the validation rows and pairs.
        dimensions: those that are trained.
        asked: "auto", "loss" or a metric of `quality_metrics`.

    Raises:
        ValueError: the rows cannot give it.
    """
    opinions = [item.scores for item in items if isinstance(item, Opinion)]
    choices = [item.choices for item in items if isinstance(item, Preference)]
    possible = ["loss"] if items else []
    if any(sum(row.get(name, "same") != "same" for row in choices) > 1 for name in dimensions):
        possible.insert(0, "pair_accuracy")
    if any(len({row[name] for row in opinions if name in row}) > 1 for name in dimensions):
        possible[:0] = ["srcc", "plcc"]
    metric = asked.removeprefix("eval_")
    if metric == "auto" and len(possible) > 1:
        return possible[0]
    if not any(metric.startswith(name) for name in possible):
        raise ValueError(
            f"metric_for_best_model {asked!r} needs 2 or more differing opinions of a dimension, "
            f"or 2 or more decided pairs, and the validation split has {len(opinions)} rows and "
            f"{len(choices)} pairs; raise validation_fraction, give validation_opinions, or set "
            "eval_strategy: no, load_best_model_at_end: false and early_stopping_patience: null"
        )
    return metric


def quality_metrics(
    scores: Floats, targets: Floats, choices: Floats, dimensions: Sequence[Dimension]
) -> dict[str, float]:
    """SRCC, PLCC and pair accuracy of each dimension that has data, and their means.

    Pair accuracy is over the pairs of which one video was preferred, two or more of them.
    Correlations are nan where all scores are equal, and absent where all opinions are.

    Args:
        scores: (N, 2, D), of each item's video, or of both videos of a pair.
        targets: (N, D), opinions, NaN where there is none.
        choices: (N, D), above 0 for the first video, below 0 for the second, 0 for neither, NaN
            where there is none.
        dimensions: D names.

    Returns:
        {"srcc_technical": ..., "srcc": mean, ...}, and "rows" and "pairs".
    """
    found: dict[str, dict[Dimension, float]] = {"srcc": {}, "plcc": {}, "pair_accuracy": {}}
    for column, name in enumerate(dimensions):
        rated = ~np.isnan(targets[:, column])
        target, score = targets[rated, column], scores[rated, 0, column]
        if len(np.unique(target)) > 1:
            found["srcc"][name] = srcc(score, target)
            found["plcc"][name] = plcc(score, target)
        compared = ~np.isnan(choices[:, column])
        choice = choices[compared, column]
        if (choice != 0).sum() > 1:
            difference = scores[compared, 0, column] - scores[compared, 1, column]
            found["pair_accuracy"][name] = accuracy_without_ties(choice, difference)
    result: dict[str, float] = {}
    for metric, values in found.items():
        if values:
            result[metric] = float(np.mean(list(values.values())))
            result |= {f"{metric}_{name}": value for name, value in values.items()}
    result["rows"] = float((~np.isnan(targets)).any(axis=1).sum())
    result["pairs"] = float((~np.isnan(choices)).any(axis=1).sum())
    return result

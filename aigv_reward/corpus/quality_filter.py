"""Rules as a callable, for data sets that have scores already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aigv_reward.reward import FilterRules


class QualityFilter:
    """Says whether to keep a sample, by its scores.

    ```python
    keep = QualityFilter(FilterRules(minimum={"overall": 3.0}))
    dataset.filter(keep)  # datasets: the scores are columns of the sample
    keep(sample, {"overall": 3.4})  # or come from elsewhere
    ```

    Args:
        rules: resolved; see `FilterRules.resolve`.

    Raises:
        ValueError: rules with thresholds that are no scores yet.
    """

    def __init__(self, rules: FilterRules) -> None:
        if not rules.resolved:
            raise ValueError(
                "the rules have z or percentile thresholds that need a reference; call "
                "rules.resolve(reward.model.config.calibration) first"
            )
        self.rules = rules

    def __call__(self, sample: Any, scores: Mapping[str, float | None] | None = None) -> bool:
        """Whether the rules keep it.

        Args:
            sample: anything; a mapping that holds the scores if they are not given.
            scores: {dimension: score}.

        Raises:
            ValueError: a score that is not finite, or missing under `missing="error"`.
        """
        if scores is None:
            if not isinstance(sample, Mapping):
                raise ValueError(
                    f"a sample of type {type(sample).__name__} holds no scores; give them as the "
                    "second argument"
                )
            scores = {name: sample.get(name) for name in self.rules.dimensions}
        return self.rules.decide(scores).kept

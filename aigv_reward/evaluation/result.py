"""What an evaluation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from aigv_reward.dimensions import Dimension
from aigv_reward.evaluation.bootstrap import Bootstrap, Estimate
from aigv_reward.evaluation.logistic import Logistic

Kind = Literal["opinions", "preferences"]
Unit = Literal["videos", "prompts", "pairs"]

LABELS: Final[Mapping[str, str]] = {
    "srcc": "SRCC",
    "plcc": "PLCC",
    "plcc_logistic": "PLCC, logistic",
    "krcc": "KRCC",
    "rmse": "RMSE",
    "challenge": "(PLCC + SRCC) / 2",
    "with_ties": "accuracy with ties",
    "without_ties": "accuracy without ties",
}
"""What each measure is called where people read it."""


@dataclass(frozen=True)
class Agreement:
    """How well scores agree with people on some videos or pairs.

    Attributes:
        count: videos, pairs, or generators.
        estimates: {measure: estimate}; the measures are keys of `LABELS`.
        logistic: what maps scores to opinions in PLCC after the logistic and in RMSE.
        threshold: the largest score difference counted as a tie.
        ties: pairs that people called the same.
    """

    count: int
    estimates: Mapping[str, Estimate]
    logistic: Logistic | None = None
    threshold: float | None = None
    ties: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is undefined is None, with a reason."""
        record: dict[str, Any] = {"count": self.count}
        if self.ties is not None:
            record["ties"] = self.ties
        for name, estimate in self.estimates.items():
            record[name] = {
                key: value
                for key, value in asdict(estimate).items()
                if key in ("value", "low", "high") or value
            }
        if self.logistic is not None:
            record["logistic"] = asdict(self.logistic)
        if self.threshold is not None:
            record["tie_threshold"] = self.threshold
        return record


@dataclass(frozen=True)
class DimensionResult:
    """Agreement in one dimension.

    Attributes:
        all: on all that were rated and scored.
        generators: {generator: agreement on its videos, or on the pairs it takes part in}.
        systems: agreement of the generators' mean scores with their mean opinions, None with fewer
            than three generators.
    """

    all: Agreement
    generators: Mapping[str, Agreement] = field(default_factory=dict)
    systems: Agreement | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        record = self.all.to_dict()
        if self.generators:
            record["generators"] = {name: one.to_dict() for name, one in self.generators.items()}
        if self.systems is not None:
            record["systems"] = self.systems.to_dict()
        return record


@dataclass(frozen=True)
class EvaluationResult:
    """Agreement of scores with opinions or preferences.

    Attributes:
        kind: what the scores were compared with.
        dimensions: {dimension: result}, of those that were both rated and scored.
        bootstrap: how the intervals were made.
        unit: what was resampled.
        scored: videos that have scores.
        failed: {video: why it has none}; left out everywhere.
        untrained: dimensions that the checkpoint answers but was not trained for.
        unscored: dimensions that people rated and nothing scored.
    """

    kind: Kind
    dimensions: Mapping[Dimension, DimensionResult]
    bootstrap: Bootstrap
    unit: Unit
    scored: int
    failed: Mapping[Path, str] = field(default_factory=dict)
    untrained: tuple[Dimension, ...] = ()
    unscored: tuple[Dimension, ...] = ()

    def __getitem__(self, name: Dimension) -> DimensionResult:
        if name not in self.dimensions:
            known = ", ".join(self.dimensions)
            raise ValueError(f"dimension {name!r} was not evaluated; there are {known}")
        return self.dimensions[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; nan never occurs, what is undefined is None."""
        return {
            "kind": self.kind,
            "videos": {"scored": self.scored, "failed": len(self.failed)},
            "bootstrap": {**asdict(self.bootstrap), "unit": self.unit},
            "untrained": list(self.untrained),
            "unscored": list(self.unscored),
            "dimensions": {name: one.to_dict() for name, one in self.dimensions.items()},
            "failed": {str(path): reason for path, reason in self.failed.items()},
        }

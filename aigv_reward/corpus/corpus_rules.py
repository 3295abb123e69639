"""What is kept of a run: thresholds, the best of each group, one of each content."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.reward import FilterRules
from aigv_reward.reward.rules_file import read_rules_file

Duplicates = Literal["keep", "drop"]
ReferenceSet = Literal["checkpoint", "run"]
OWN = ("top_k", "duplicates", "reference")


@dataclass(frozen=True)
class TopK:
    """The best of each group.

    Attributes:
        k: how many of a group are kept.
        per: "prompt", or another column of the input, whose equal values make a group.
        by: {dimension: weight} of the sum that decides; equal sums: the earlier in the input.

    Raises:
        ValueError: k below 1, or weights that are no finite numbers of known dimensions.
    """

    k: int = 1
    per: str = "prompt"
    by: Mapping[str, float] = field(default_factory=lambda: {"overall": 1.0})

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"k of top_k is {self.k!r}; give 1 or more")
        if not isinstance(self.per, str) or not isinstance(self.by, Mapping) or not self.by:
            raise ValueError(
                f"top_k has per {self.per!r} and by {self.by!r}; give a column and a dimension, or "
                "{dimension: weight}"
            )
        for name, weight in self.by.items():
            if name not in DIMENSIONS:
                raise ValueError(
                    f"unknown dimension {name!r} in by of top_k; choose {', '.join(DIMENSIONS)}"
                )
            number: Any = weight  # YAML may hold anything
            if (
                isinstance(number, bool)
                or not isinstance(number, int | float)
                or not math.isfinite(number)
            ):
                raise ValueError(f"the weight of {name!r} in top_k is {weight!r}; give a number")


@dataclass(frozen=True)
class CorpusRules:
    """The rules of `aigv-reward filter`, applied in this order; failed videos are never kept.

    Attributes:
        duplicates: "drop" keeps the first video, in the order of the input, of each content.
        thresholds: `FilterRules`, or None.
        reference: what z-scores and percentiles refer to: the "checkpoint"'s calibration set, or
            the scored videos of the "run" itself.
        top_k: the best of each group among what is left, or None.

    Raises:
        ValueError: an unknown value, or no rule at all.
    """

    thresholds: FilterRules | None = None
    top_k: TopK | None = None
    duplicates: Duplicates = "keep"
    reference: ReferenceSet = "checkpoint"

    def __post_init__(self) -> None:
        for name, kind in (("duplicates", Duplicates), ("reference", ReferenceSet)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; choose {' or '.join(get_args(kind))}"
                )
        if self.thresholds is None and self.top_k is None and self.duplicates == "keep":
            raise ValueError(
                "the rules keep everything; give a threshold, top_k, or duplicates: drop"
            )

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions that decide."""
        thresholds = () if self.thresholds is None else self.thresholds.dimensions
        top = () if self.top_k is None else tuple(self.top_k.by)
        return tuple(dict.fromkeys((*thresholds, *top)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CorpusRules:
        """Rules from plain values: the keys of `FilterRules` and top_k, duplicates, reference.

        Raises:
            ValueError: an unknown key, or values that are refused.
        """
        known = (*(one.name for one in fields(FilterRules)), *OWN)
        for key in values:
            if key not in known:
                raise ValueError(f"unknown key {key!r} in the rules; choose {', '.join(known)}")
        rest = {key: value for key, value in values.items() if key not in OWN}
        own = {key: value for key, value in values.items() if key in OWN}
        if "top_k" in own:
            own["top_k"] = _top_k(own["top_k"])
        return cls(thresholds=FilterRules.from_dict(rest) if rest else None, **own)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> CorpusRules:
        """`from_dict` of a YAML file.

        Raises:
            ValueError: no YAML mapping, an unknown key or one that stands twice, or bad values.
            ModuleNotFoundError: PyYAML is not installed.
        """
        try:
            return cls.from_dict(read_rules_file(path))
        except TypeError as error:
            raise ValueError(f"rules file {os.fspath(path)!r}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and YAML."""
        result = {} if self.thresholds is None else self.thresholds.to_dict()
        if self.top_k is not None:
            top = self.top_k
            result["top_k"] = {"k": top.k, "per": top.per, "by": dict(top.by)}
        return result | {"duplicates": self.duplicates, "reference": self.reference}


def _top_k(values: Any) -> TopK:
    known = ("k", "per", "by")
    if not isinstance(values, Mapping):
        raise ValueError(f"top_k is {values!r}; give {{k: 1, per: prompt, by: overall}}")
    for key in values:
        if key not in known:
            raise ValueError(f"unknown key {key!r} in top_k; choose {', '.join(known)}")
    by = values.get("by", "overall")
    return TopK(
        **{**values, "by": {by: 1.0} if isinstance(by, str) else by},
    )

"""One limit of one dimension: a score, a z-score, or a percentile of a reference."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np

Bound = Literal["minimum", "maximum"]
Kind = Literal["score", "z", "percentile"]
Reference: TypeAlias = Mapping[str, Mapping[str, Any]]

# How rules name a threshold.
KEYS: dict[str, tuple[Bound, Kind]] = {
    "minimum": ("minimum", "score"),
    "maximum": ("maximum", "score"),
    "minimum_z": ("minimum", "z"),
    "maximum_z": ("maximum", "z"),
    "minimum_percentile": ("minimum", "percentile"),
    "maximum_percentile": ("maximum", "percentile"),
}
# The tails matter to a filter: steps of a tenth, where calibration has steps of five.
PERCENTILE_STEPS = 1000


@dataclass(frozen=True)
class Threshold:
    """A limit of one dimension; the limit itself passes.

    Attributes:
        key: "minimum", "maximum", or one of them with "_z" or "_percentile".
        dimension: name of the score.
        value: as it was given.
        limit: the score that it comes to; None where it needs a reference.
    """

    key: str
    dimension: str
    value: float
    limit: float | None

    @property
    def bound(self) -> Bound:
        """Which side is refused."""
        return KEYS[self.key][0]

    @property
    def kind(self) -> Kind:
        """What `value` is."""
        return KEYS[self.key][1]

    def __str__(self) -> str:
        return f"{self.key} {self.value:g} of {self.dimension!r}"

    def resolve(self, reference: Reference) -> float:
        """The score that the threshold comes to.

        Args:
            reference: {dimension: {"mean", "std", "percentiles"}}.

        Raises:
            ValueError: the reference lacks the dimension, or what is needed of it.
        """
        if self.dimension not in reference:
            known = ", ".join(reference) or "nothing"
            raise ValueError(f"{self} has no reference; it covers {known}")
        known_of = reference[self.dimension]
        needed = ("mean", "std") if self.kind == "z" else ("percentiles",)
        for name in needed:
            if known_of.get(name) is None:
                raise ValueError(
                    f"{self} needs {name!r} of its reference, which has {', '.join(known_of)}"
                )
        if self.kind == "z":
            deviation = float(known_of["std"])
            if not deviation > 0:
                raise ValueError(f"{self}: the standard deviation of its reference is {deviation}")
            return float(known_of["mean"]) + self.value * deviation
        points = np.asarray(known_of["percentiles"], dtype=np.float64)
        if points.ndim != 1 or len(points) < 2 or not (np.diff(points) >= 0).all():
            raise ValueError(
                f"{self}: the percentiles of its reference must rise from 0 to 100 at equal steps"
            )
        place = self.value * (len(points) - 1) / 100  # exact for whole percentiles
        return float(np.interp(place, np.arange(len(points)), points))

    def failure(self, score: float) -> str | None:
        """Why a score does not pass, in one line, or None."""
        assert self.limit is not None
        low = self.bound == "minimum"
        if score >= self.limit if low else score <= self.limit:
            return None
        got, limit = f"{score:.4g}", f"{self.limit:.4g}"
        if got == limit:
            got, limit = repr(score), repr(self.limit)
        origin = "" if self.kind == "score" else f", {self.kind} {self.value:g} of the reference"
        return f"{self.dimension} {got} is {'below' if low else 'above'} {limit}{origin}"


def thresholds_of(
    given: Mapping[str, Any], limits: Mapping[str, Mapping[str, float]]
) -> tuple[Threshold, ...]:
    """Checked thresholds, those of a dimension together.

    Args:
        given: {key: {dimension: value}}, keys that name no threshold passed over.
        limits: {key: {dimension: score}} of those that were resolved.

    Raises:
        ValueError: a value that is not a finite number or no percentile, a limit of a threshold
            that is not there, thresholds of a dimension that no score can pass.
    """
    found: dict[str, list[Threshold]] = {}
    for key in KEYS:
        if not isinstance(given[key], Mapping):
            raise ValueError(f"{key} is {given[key]!r}; give {{dimension: value}}")
    _check_limits(given, limits)
    for key in KEYS:
        for name, value in given[key].items():
            _check_number(value, f"{key} of {name!r}")
            if KEYS[key][1] == "percentile" and not 0 <= value <= 100:
                raise ValueError(f"{key} of {name!r} is {value}; a percentile lies in 0..100")
            resolved = limits.get(key, {}).get(name)
            limit = value if KEYS[key][1] == "score" else resolved
            made = Threshold(key, name, float(value), None if limit is None else float(limit))
            found.setdefault(name, []).append(made)
    for each in found.values():
        _check_passable(each)
    return tuple(threshold for each in found.values() for threshold in each)


def reference_of(scores: Mapping[str, Collection[float | None]]) -> dict[str, dict[str, Any]]:
    """{dimension: mean, std, percentiles} of a set of scores, for thresholds relative to it.

    Args:
        scores: {dimension: score of each video}; None does not count.

    Raises:
        ValueError: a dimension without scores, or a score that is not finite.
    """
    result: dict[str, dict[str, Any]] = {}
    for name, column in scores.items():
        values = np.array([score for score in column if score is not None], dtype=np.float64)
        if not len(values):
            raise ValueError(f"{name!r} has no scores; a reference needs one or more")
        if not np.isfinite(values).all():
            raise ValueError(f"{name!r} has scores that are not finite; leave those videos out")
        result[name] = {
            "mean": float(values.mean()),
            "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "percentiles": np.percentile(
                values, np.linspace(0, 100, PERCENTILE_STEPS + 1)
            ).tolist(),
        }
    return result


def _check_number(value: Any, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{what} is {value!r}; give a finite number")


def _check_limits(given: Mapping[str, Any], limits: Mapping[str, Mapping[str, float]]) -> None:
    if not isinstance(limits, Mapping):
        raise ValueError(
            f"limits is {limits!r}; leave it out, or give {{minimum_z: {{dimension: score}}, ...}}"
        )
    for key, values in limits.items():
        if KEYS.get(key, ("", "score"))[1] == "score":
            raise ValueError(f"limits has {key!r}; only z and percentile thresholds are resolved")
        if not isinstance(values, Mapping):
            raise ValueError(
                f"limits has {key} {values!r}; leave it out, or give {{dimension: score}}"
            )
        for name, value in values.items():
            if name not in given[key]:
                raise ValueError(f"limits has {key} of {name!r}, which is no threshold")
            _check_number(value, f"the limit of {key} of {name!r}")


def _check_passable(thresholds: list[Threshold]) -> None:
    """Raise where the greatest minimum lies above the least maximum, as far as they compare."""
    for low in thresholds:
        for high in thresholds:
            if low.bound != "minimum" or high.bound != "maximum":
                continue
            same = low.kind == high.kind and low.value > high.value
            both = low.limit is not None and high.limit is not None and low.limit > high.limit
            if same or both:
                raise ValueError(f"{low} is above {high}; no score passes both")

"""Which videos are good enough: the rules that every filter of the project decides by."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.reward.rules_file import read_rules_file
from aigv_reward.reward.threshold import Reference, Threshold, reference_of, thresholds_of

Match = Literal["all", "any"]
Missing = Literal["error", "reject", "keep"]


@dataclass(frozen=True)
class Decision:
    """What the rules say of one video.

    Attributes:
        kept: whether it passes.
        reasons: why not, one line a failed threshold; empty where it is kept.
    """

    kept: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class FilterRules:
    """Thresholds of scores, and how they make a decision.

    ```python
    rules = FilterRules(minimum={"technical": 3.0}, minimum_percentile={"motion": 20})
    rules = rules.resolve(reward.model.config.calibration)
    rules.decide({"technical": 3.4, "motion": 1.9}).reasons
    # ('motion 1.9 is below 2.409, percentile 20 of the reference',)
    ```

    A threshold itself passes. Plain thresholds compare with scores as they are given, so those of
    a calibrated reward are z-scores already: use `minimum` there, and not `minimum_z`.

    Args:
        minimum: {dimension: least score}.
        maximum: {dimension: greatest score}.
        minimum_z: {dimension: least z-score}, in standard deviations from a reference's mean.
        maximum_z: {dimension: greatest z-score}.
        minimum_percentile: {dimension: 0..100}, a percentile of a reference.
        maximum_percentile: {dimension: 0..100}.
        match: "all": every dimension must pass all its thresholds. "any": one dimension must.
        missing: what a dimension does whose score is absent or None: "error" raises, "reject"
            counts it as failed, "keep" as passed.
        limits: {"minimum_z": {dimension: score}, ...}, the scores that z and percentile thresholds
            come to; `resolve` fills it in.

    Raises:
        ValueError: no threshold, or one that is not a finite number; a percentile outside 0..100;
            thresholds that no score can pass; an unknown `match` or `missing`.
    """

    minimum: Mapping[str, float] = field(default_factory=dict)
    maximum: Mapping[str, float] = field(default_factory=dict)
    minimum_z: Mapping[str, float] = field(default_factory=dict)
    maximum_z: Mapping[str, float] = field(default_factory=dict)
    minimum_percentile: Mapping[str, float] = field(default_factory=dict)
    maximum_percentile: Mapping[str, float] = field(default_factory=dict)
    match: Match = "all"
    missing: Missing = "error"
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.match not in get_args(Match):
            raise ValueError(f"match is {self.match!r}; choose all or any")
        if self.missing not in get_args(Missing):
            raise ValueError(f"missing is {self.missing!r}; choose error, reject or keep")
        if not self.thresholds:
            raise ValueError("the rules have no threshold; give e.g. minimum={'overall': 3.0}")

    @property
    def thresholds(self) -> tuple[Threshold, ...]:
        """Every threshold, those of a dimension together."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return thresholds_of(given, self.limits)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions that have thresholds."""
        return tuple(dict.fromkeys(threshold.dimension for threshold in self.thresholds))

    @property
    def resolved(self) -> bool:
        """Whether every threshold is a score; what `decide` needs."""
        return all(threshold.limit is not None for threshold in self.thresholds)

    def resolve(self, reference: Reference) -> FilterRules:
        """The same rules, with the scores that their z and percentile thresholds come to.

        Args:
            reference: {dimension: {"mean", "std", "percentiles"}}, as a checkpoint's
                `config.calibration` has it; the percentiles stand at equal steps from 0 to 100.

        Raises:
            ValueError: the reference lacks a dimension, or what its threshold needs.
        """
        limits: dict[str, dict[str, float]] = {}
        for threshold in self.thresholds:
            if threshold.kind != "score":
                limit = threshold.resolve(reference)
                limits.setdefault(threshold.key, {})[threshold.dimension] = limit
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return FilterRules(**values | {"limits": limits})

    def resolve_among(self, scores: Mapping[str, Collection[float | None]]) -> FilterRules:
        """`resolve` with a set of scores as its own reference.

        "The best fifth of these videos" rather than "better than the calibration set's median".

        Args:
            scores: {dimension: score of each video}; missing ones, None, do not count.

        Raises:
            ValueError: a dimension without scores, or a score that is not finite.
        """
        return self.resolve(reference_of({n: scores[n] for n in self.dimensions if n in scores}))

    def decide(self, scores: Mapping[str, float | None]) -> Decision:
        """Whether a video with these scores passes; scores of other dimensions are not looked at.

        Raises:
            ValueError: a score that is not finite, a missing one under `missing="error"`, or
                thresholds that are not resolved.
        """
        failed: dict[str, list[str]] = {name: [] for name in self.dimensions}
        for threshold in self.thresholds:
            name = threshold.dimension
            score = scores.get(name)
            if threshold.limit is None:
                raise ValueError(
                    f"{threshold} needs a reference; call "
                    "rules.resolve(reward.model.config.calibration), or "
                    "rules.resolve_among(scores) of a set"
                )
            if score is None:
                failed[name] = self._missing(name, scores)
            elif not math.isfinite(score):
                raise ValueError(f"the score of {name!r} is {score}; a failure has no place here")
            elif reason := threshold.failure(float(score)):
                failed[name].append(reason)
        passes = [not reasons for reasons in failed.values()]
        if any(passes) if self.match == "any" else all(passes):
            return Decision(kept=True)
        return Decision(
            kept=False, reasons=tuple(line for each in failed.values() for line in each)
        )

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any], *, dimensions: Collection[str] | None = DIMENSIONS
    ) -> FilterRules:
        """Rules from plain values, as `to_dict` writes them and YAML holds them.

        Args:
            values: {"minimum": {"technical": 3.0}, "match": "all", ...}.
            dimensions: names that may occur; None for any, where another reward has its own.

        Raises:
            ValueError: an unknown key or dimension, or rules that `FilterRules` refuses.
        """
        known = [f.name for f in fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"unknown key {key!r} in the rules; choose {', '.join(known)}")
        rules = cls(**values)
        for name in rules.dimensions:
            if dimensions is not None and name not in dimensions:
                raise ValueError(f"unknown dimension {name!r}; choose {', '.join(dimensions)}")
        return rules

    @classmethod
    def from_yaml(
        cls,
        path: str | os.PathLike[str],
        *,
        dimensions: Collection[str] | None = DIMENSIONS,
    ) -> FilterRules:
        """`from_dict` of a YAML file.

        Raises:
            ValueError: no YAML mapping, a key that stands twice, or rules that are refused.
            ModuleNotFoundError: PyYAML is not installed; the extra `corpus` brings it.
        """
        return cls.from_dict(read_rules_file(path), dimensions=dimensions)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and YAML, without the thresholds that were not given."""
        result: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name == "limits":
                value = {key: dict(limits) for key, limits in value.items()}
            elif isinstance(value, Mapping):
                value = dict(value)
            if value:
                result[f.name] = value
        return result

    def _missing(self, name: str, scores: Mapping[str, float | None]) -> list[str]:
        if self.missing == "error":
            known = ", ".join(other for other, score in scores.items() if score is not None)
            raise ValueError(
                f"no score of {name!r} among {known or 'none'}; score it, or set missing to "
                "reject or keep"
            )
        return [f"{name} has no score"] if self.missing == "reject" else []

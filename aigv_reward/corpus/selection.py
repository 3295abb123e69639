"""Which rows of a run the rules keep, and why not the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aigv_reward.corpus.corpus_rules import CorpusRules, TopK
from aigv_reward.corpus.rows import extra_of
from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.reward import FilterRules

RunRow: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Rejected:
    """A row that is not kept.

    Attributes:
        row: of the run.
        rule: "status", "duplicates", "thresholds" or "top_k".
        reasons: one line each.
    """

    row: RunRow
    rule: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """The rows that are kept, the others, in order, the rules, and their thresholds as scores."""

    kept: tuple[RunRow, ...]
    rejected: tuple[Rejected, ...]
    rules: CorpusRules
    resolved: FilterRules | None


def select(
    rows: Sequence[RunRow], rules: CorpusRules, calibration: Mapping[str, Any] | None
) -> Selection:
    """What the rules say of all rows of a run.

    Args:
        rows: in the order of the input.
        rules: what to keep.
        calibration: of the checkpoint.

    Raises:
        ValueError: thresholds that need a reference that is not there, a score that is missing
            under `missing: error`, or a row without the column that top_k groups by.
    """
    rejected: list[Rejected] = []
    left: list[RunRow] = []
    for row in rows:
        if row["status"] == "ok":
            left.append(row)
        else:
            said = f"{row['status']}: {row['error_type']}: {row['error']}"
            rejected.append(Rejected(row, "status", (said,)))
    resolved = _resolved(rules, left, calibration)
    if rules.duplicates == "drop":
        first: dict[str, RunRow] = {}
        unique = []
        for row in left:
            same = first.setdefault(row["content_sha256"], row)
            if same is row:
                unique.append(row)
            else:
                said = f"its content is that of {same['key']!r} (row {same['ordinal']})"
                rejected.append(Rejected(row, "duplicates", (said,)))
        left = unique
    if resolved is not None:
        passed = []
        for row in left:
            decision = resolved.decide({name: row[name] for name in DIMENSIONS})
            if decision.kept:
                passed.append(row)
            else:
                rejected.append(Rejected(row, "thresholds", decision.reasons))
        left = passed
    if rules.top_k is not None:
        ranks = ranked(left, rules.top_k)
        for row in left:
            place, size = ranks[row["ordinal"]]
            if place > rules.top_k.k:
                said = (
                    f"rank {place} of {size} with its {rules.top_k.per}, of which {rules.top_k.k} "
                    "are kept"
                )
                rejected.append(Rejected(row, "top_k", (said,)))
        left = [row for row in left if ranks[row["ordinal"]][0] <= rules.top_k.k]
    rejected.sort(key=lambda one: int(one.row["ordinal"]))
    return Selection(tuple(left), tuple(rejected), rules, resolved)


def ranked(rows: Sequence[RunRow], top: TopK) -> dict[int, tuple[int, int]]:
    """{ordinal: (rank from 1, size of its group)}."""
    groups: dict[str, list[tuple[float, int]]] = {}
    for row in rows:
        value = row["prompt"] if top.per == "prompt" else extra_of(row).get(top.per)
        if _blank(value):
            raise ValueError(
                f"{row['key']!r} (row {row['ordinal']}) has no {top.per!r} to be grouped by; "
                f"{_columns(row)}"
            )
        groups.setdefault(repr(value), []).append((weighted(row, top.by), int(row["ordinal"])))
    ranks: dict[int, tuple[int, int]] = {}
    for group in groups.values():
        group.sort(key=lambda one: (-one[0], one[1]))
        ranks |= {ordinal: (place, len(group)) for place, (_, ordinal) in enumerate(group, start=1)}
    return ranks


def _blank(value: Any) -> bool:
    """Whether a cell holds nothing: csv has no null, and an empty cell is no group of its own."""
    return value is None or (isinstance(value, str) and not value.strip())


def _columns(row: RunRow) -> str:
    """What a row can be grouped by instead, as a remedy."""
    cells = {"prompt": row["prompt"], **extra_of(row)}
    names = [name for name, value in cells.items() if not _blank(value)]
    if not names:
        return "its input has nothing else; score a list that has a column for it"
    return f"group by what it has ({', '.join(names)}), or score a list where every row has one"


def weighted(row: RunRow, weights: Mapping[str, float]) -> float:
    """The weighted sum of a row's scores.

    Raises:
        ValueError: a score that the run does not have.
    """
    for name in weights:
        if row[name] is None:
            raise ValueError(f"the run has no score of {name!r} for {row['key']!r}; score it too")
    return sum(row[name] * weight for name, weight in weights.items())


def _resolved(
    rules: CorpusRules, rows: Sequence[RunRow], calibration: Mapping[str, Any] | None
) -> FilterRules | None:
    if rules.thresholds is None or rules.thresholds.resolved:
        return rules.thresholds
    if rules.reference == "run":
        return rules.thresholds.resolve_among(
            {name: [row[name] for row in rows] for name in DIMENSIONS}
        )
    if calibration is None:
        raise ValueError(
            "the run's checkpoint has no calibration for z-scores and percentiles; use "
            "reference: run"
        )
    return rules.thresholds.resolve(calibration)

"""The card of a data set of preferences: what is in it, and how its scores lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_BINS, _WIDTH = 10, 40


def card_of(
    rows: Sequence[Mapping[str, Any]],
    scores: Sequence[Mapping[str, float]],
    form: str,
    strategy: str,
    min_margin: float,
) -> str:
    """A data set card in Markdown, the same for the same rows.

    Args:
        rows: of the data set.
        scores: {dimension: score} of every candidate, those without a pair among them.
        form: of the rows.
        strategy: how pairs were chosen.
        min_margin: their least margin.
    """
    prompts = len({row["prompt"] for row in rows})
    lines = ["---", "tags:", "- aigv-reward", f"- {'kto' if form == 'kto' else 'dpo'}", "---", ""]
    lines += ["# Preferences by a video reward", ""]
    if form == "kto":
        wanted = sum(row["label"] for row in rows)
        lines.append(
            f"{len(rows)} completions of {prompts} prompts; {wanted} are desirable and "
            f"{len(rows) - wanted} are not."
        )
    else:
        lines.append(
            f"{len(rows)} pairs of {prompts} prompts, from {len(scores)} candidates; strategy "
            f"`{strategy}`, least margin {min_margin:g}."
        )
        lines += _section("Margins", [row["margin"] for row in rows])
    for name in dict.fromkeys(name for row in scores for name in row):
        lines += _section(
            f"Scores of all candidates: {name}", [row[name] for row in scores if name in row]
        )
    return "\n".join([*lines, ""])


def _section(title: str, values: Sequence[float]) -> list[str]:
    return ["", f"## {title}", "", "```text", *histogram(values), "```"]


def histogram(values: Sequence[float]) -> list[str]:
    """A line a bin of equal width: its range, a bar and the count; one line for equal values."""
    low, high = min(values), max(values)
    if low == high:
        return [f"{low:.3f}  {'█' * _WIDTH}  {len(values)}"]
    step = (high - low) / _BINS
    counts = [0] * _BINS
    for value in values:
        counts[min(int((value - low) / step), _BINS - 1)] += 1
    tallest = max(counts)
    ends = [f"{low + index * step:.3f}" for index in range(_BINS + 1)]
    width = max(len(end) for end in ends)
    return [
        f"{ends[i]:>{width}} .. {ends[i + 1]:>{width}}  "
        f"{'█' * -(-count * _WIDTH // tallest):<{_WIDTH}}  {count}"
        for i, count in enumerate(counts)
    ]

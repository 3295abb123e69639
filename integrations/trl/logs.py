"""What reward functions tell TRL's logs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from aigv_reward.integrations.trl.request_scores import Result, RowScores


def log(name: str, results: Sequence[Result], columns: Mapping[str, Any]) -> None:
    """Tells TRL the mean of every dimension, the share of failed rows, and all scores a row."""
    if not results:
        return
    scored = [result for result in results if isinstance(result, RowScores)]
    names = list(dict.fromkeys(dimension for row in scored for dimension in row.values))
    if metric := columns.get("log_metric"):
        metric(f"{name}/failed", 1 - len(scored) / len(results))
        for dimension in names:
            metric(
                f"{name}/{dimension}", math.fsum(r.values[dimension] for r in scored) / len(scored)
            )
    if extra := columns.get("log_extra"):
        for dimension in names:
            extra(
                f"{name}/{dimension}",
                [r.values[dimension] if isinstance(r, RowScores) else None for r in results],
            )

"""Do scores fall as a known degradation rises?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import spearmanr

from aigv_reward.dimensions import Dimension


@dataclass(frozen=True)
class SeverityResult:
    """Agreement of one dimension's scores with one degradation's severity.

    Attributes:
        spearman: mean over contents of the rank correlation of severity with minus the score.
        drop: mean over contents of the score at the least severity minus that at the greatest.
        contents: how many contents were averaged.
    """

    spearman: float
    drop: float
    contents: int


def severity_agreement(
    ladders: Iterable[tuple[str, Sequence[int], Mapping[Dimension, Sequence[float]]]],
) -> dict[str, dict[Dimension, SeverityResult]]:
    """{distortion: {dimension: result}}, averaged over contents.

    A content whose scores are all equal counts as a correlation of 0.

    Args:
        ladders: per content the distortion's name, its severities in rising order, and the scores
            of each dimension at those severities.

    Raises:
        ValueError: a ladder with fewer than 2 severities, or scores of another length.
    """
    gathered: dict[str, dict[Dimension, list[tuple[float, float]]]] = {}
    for name, severities, scores in ladders:
        for dimension, values in scores.items():
            if len(severities) < 2 or len(values) != len(severities):
                raise ValueError(
                    f"{name}: {len(values)} scores for severities {list(severities)}; give one "
                    "score for each of 2 or more severities"
                )
            rho = 0.0
            if max(values) > min(values):
                rho = float(spearmanr(severities, [-value for value in values]).statistic)
            entry = gathered.setdefault(name, {}).setdefault(dimension, [])
            entry.append((rho, values[0] - values[-1]))
    return {
        name: {
            dimension: SeverityResult(
                spearman=sum(rho for rho, _ in pairs) / len(pairs),
                drop=sum(drop for _, drop in pairs) / len(pairs),
                contents=len(pairs),
            )
            for dimension, pairs in entries.items()
        }
        for name, entries in gathered.items()
    }

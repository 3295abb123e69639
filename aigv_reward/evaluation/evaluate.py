"""Scores against what people said: correlations with opinions, accuracy on preferences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

import numpy as np

from aigv_reward.dimensions import DIMENSIONS, Dimension
from aigv_reward.evaluation.agreement import (
    opinion_agreement,
    preference_agreement,
    system_agreement,
)
from aigv_reward.evaluation.bootstrap import Bootstrap, Indices, clusters, members
from aigv_reward.evaluation.points import opinion_points, preference_points
from aigv_reward.evaluation.result import (
    Agreement,
    DimensionResult,
    EvaluationResult,
    Unit,
)
from aigv_reward.evaluation.scoring import Records, VideoScores, list_videos, score_list
from aigv_reward.reward import RewardFn
from aigv_reward.training.opinions import Opinion, Preference

FEWEST_SYSTEMS: Final = 3
"""Generators that a correlation of their means is given for."""


def evaluate(
    scores: RewardFn | VideoScores | Mapping[str, Mapping[Dimension, float]],
    records: Records,
    *,
    dimensions: Sequence[Dimension] | None = None,
    bootstrap: Bootstrap | None = None,
    batch_size: int = 8,
) -> EvaluationResult:
    """How well scores agree with opinions, or with preferences.

    Opinions give SRCC, KRCC, PLCC raw and after the logistic, RMSE after the logistic and the
    challenge score; preferences give accuracy with and without ties. Each has a percentile
    bootstrap interval: videos are resampled, or the prompts of pairs, because pairs of one prompt
    share videos (single pairs where some have no prompt). With fewer than 5 videos or pairs, equal
    scores or a logistic that cannot be fitted, a figure is None and says why.

    Args:
        scores: a reward, which scores each file of the list once; or scores that were computed
            before, as `VideoScores` or {path: {dimension: score}}.
        records: opinions or preferences, as the readers of lists and benchmarks return them.
        dimensions: what to evaluate; default all that are both rated and scored.
        bootstrap: how many resamples, from which seed; default 1000 from 0.
        batch_size: windows that go through a `VideoReward` at once.

    Raises:
        VideoDecodeError: a file that the reward cannot read.
        ValueError: an empty or mixed list, a video without scores that `failed` does not name,
            nothing that is both rated and scored.
    """
    kind = {type(record) for record in records}
    if len(kind) != 1:
        found = "no records" if not kind else "opinions and preferences mixed"
        raise ValueError(f"{found}; give one or more opinions, or one or more preferences")
    bootstrap = bootstrap or Bootstrap()
    videos = list_videos(records)
    table = _scored(scores, videos, dimensions, batch_size)
    names, unscored = _evaluated(records, table, dimensions)
    results: dict[Dimension, DimensionResult]
    unit: Unit = "videos"
    if kind == {Opinion}:
        opinions = cast(Sequence[Opinion], records)
        results = {name: _opinions(name, opinions, table, bootstrap) for name in names}
    else:
        pairs = cast(Sequence[Preference], records)
        unit = "prompts" if all(pair.prompt for pair in pairs) else "pairs"
        results = {name: _preferences(name, pairs, table, bootstrap, unit) for name in names}
    return EvaluationResult(
        kind="opinions" if kind == {Opinion} else "preferences",
        dimensions=results,
        bootstrap=bootstrap,
        unit=unit,
        scored=sum(path in table.scores for path in videos),
        failed={path: table.failed[path] for path in videos if path in table.failed},
        untrained=tuple(name for name in names if name in table.untrained),
        unscored=unscored,
    )


def _scored(
    scores: RewardFn | VideoScores | Mapping[str, Mapping[Dimension, float]],
    videos: Mapping[Path, str | None],
    dimensions: Sequence[Dimension] | None,
    batch_size: int,
) -> VideoScores:
    if isinstance(scores, Mapping):
        scores = VideoScores({Path(path): values for path, values in scores.items()})
    if not isinstance(scores, VideoScores):
        return score_list(scores, videos, dimensions=dimensions, batch_size=batch_size)
    missing = [path for path in videos if path not in scores.scores and path not in scores.failed]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(videos)} videos have no scores, the first is "
            f"{str(missing[0])!r}; score them, name them in `failed`, or take them off the list"
        )
    return scores


def _evaluated(
    records: Records, table: VideoScores, dimensions: Sequence[Dimension] | None
) -> tuple[tuple[Dimension, ...], tuple[Dimension, ...]]:
    """Dimensions to evaluate, and those that are rated but not scored."""
    rated = {
        name
        for record in records
        for name in (record.scores if isinstance(record, Opinion) else record.choices)
    }
    scored = {name for values in table.scores.values() for name in values}
    names = tuple(name for name in DIMENSIONS if name in rated & scored)
    if dimensions is not None:
        for name in dimensions:
            if name not in names:
                what = "rated" if name in scored else "scored"
                raise ValueError(
                    f"{name!r} is not {what}; rated are {_listed(rated)}, scored are "
                    f"{_listed(scored)}"
                )
        names = tuple(name for name in names if name in dimensions)
    if not names:
        raise ValueError(
            f"no dimension is both rated and scored: rated are {_listed(rated)}, scored are "
            f"{_listed(scored)}"
        )
    return names, tuple(name for name in DIMENSIONS if name in rated - scored)


def _listed(names: set[Dimension]) -> str:
    return ", ".join(name for name in DIMENSIONS if name in names) or "none"


def _opinions(
    name: Dimension, opinions: Sequence[Opinion], table: VideoScores, bootstrap: Bootstrap
) -> DimensionResult:
    x, y, makers = opinion_points(name, opinions, table.scores)
    generators = {}
    for maker in sorted({one for one in makers if one is not None}):
        made = np.array([one == maker for one in makers])
        generators[maker] = opinion_agreement(x[made], y[made], bootstrap)
    systems = None
    if len(generators) >= FEWEST_SYSTEMS:
        known = np.array([one is not None for one in makers])
        labels = [one for one in makers if one is not None]
        systems = system_agreement(x[known], y[known], labels, bootstrap)
    return DimensionResult(opinion_agreement(x, y, bootstrap), generators, systems)


def _preferences(
    name: Dimension,
    preferences: Sequence[Preference],
    table: VideoScores,
    bootstrap: Bootstrap,
    unit: Unit,
) -> DimensionResult:
    choices, differences, pairs = preference_points(name, preferences, table.scores)

    def agreement(index: Indices) -> Agreement:
        prompts = [pairs[i].prompt for i in index]
        draw = clusters(prompts) if unit == "prompts" else members(len(prompts))
        return preference_agreement(choices[index], differences[index], draw, bootstrap)

    makers = [(pair.generator_a, pair.generator_b) for pair in pairs]
    generators = {
        maker: agreement(np.array([i for i, both in enumerate(makers) if maker in both]))
        for maker in sorted({one for both in makers for one in both if one is not None})
    }
    return DimensionResult(agreement(np.arange(len(pairs))), generators)

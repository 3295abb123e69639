"""What an audit found over all clips, for each distortion, edit and ascent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aigv_reward.evaluation.ascent import Gradient


@dataclass(frozen=True)
class Fall:
    """How one score answers to one distortion.

    Attributes:
        spearman: mean over ladders of the rank correlation of severity with minus the score.
        spearman_min: the least of them.
        levels: mean score at severities 0..4.
        drops: mean of what severities 1..4 take off the score.
        pairs: share of pairs in which a clean clip scores above another clip at severity 4, ties
            counting half; None with a single clip.
    """

    spearman: float
    spearman_min: float
    levels: tuple[float, ...]
    drops: tuple[float, ...]
    pairs: float | None


@dataclass(frozen=True)
class DistortionResult:
    """What one distortion does to the scores.

    Attributes:
        name: key in `DISTORTIONS`.
        dimension: the one it lowers most, by design.
        own_score: the score that should fall most, see `own_score`; None where the reward has
            none that answers for it.
        ladders, unseen: how many showed, and how many did not and were left out.
        own_falls_most: share of ladders in which severity 4 takes more off the own dimension than
            off the other two; None where the reward does not score it and another one of the three.
        falls: {score: its answer}, empty where no ladder showed.
    """

    name: str
    dimension: str
    own_score: str | None
    ladders: int
    unseen: int
    own_falls_most: float | None
    falls: Mapping[str, Fall]


@dataclass(frozen=True)
class Move:
    """How far an edit moves one score.

    Attributes:
        mean, max: over clips; of the absolute change for a harmless edit, of the rise for a hack.
        steps: the mean over what severity 1 takes off the score; None where that is not positive.
        max_steps: the same of the maximum.
        stds: the mean over the clean clips' standard deviation; None where that is 0 or unknown.
    """

    mean: float
    max: float
    steps: float | None
    max_steps: float | None
    stds: float | None


@dataclass(frozen=True)
class EditResult:
    """What an edit does to the scores.

    Attributes:
        name: key in `HARMLESS` or `HACKS`, or "again".
        strength: of a hack, else None.
        moves: {score: how far it moves}.
    """

    name: str
    strength: float | None
    moves: Mapping[str, Move]


@dataclass(frozen=True)
class ClimbResult:
    """What pixel ascent does to one score.

    Attributes:
        score: what was ascended.
        start: "clean", or "degraded": each clip at severity 4 of what lowered its score most.
        gradient: "present" if there was one on any clip.
        clips: how many were ascended.
        gain: rise over clips; None without a gradient.
        control: change by a random perturbation of the same budget.
        recovered: mean over clips of the gain as a share of what severity 4 had taken off the
            score; None from clean clips, or without a gradient.
    """

    score: str
    start: str
    gradient: Gradient
    clips: int
    gain: Move | None
    control: Move
    recovered: float | None

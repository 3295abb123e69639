"""What an audit measured on each clip, before anything is averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aigv_reward.evaluation.ascent import Gradient


@dataclass(frozen=True)
class Ladder:
    """The scores of one clip under one variant of one distortion.

    Attributes:
        distortion: key in `DISTORTIONS`.
        variant: 0, 1, ...; it seeds the kernel, codec, places, ...
        scores: {score: at severities 0..4}.
    """

    distortion: str
    variant: int
    scores: Mapping[str, tuple[float, ...]]

    def drop(self, score: str, severity: int) -> float:
        """What a severity takes off a score."""
        return self.scores[score][0] - self.scores[score][severity]


@dataclass(frozen=True)
class Edited:
    """The scores of one clip after an edit.

    Attributes:
        edit: key in `HARMLESS` or `HACKS`.
        strength: of a hack, None for a harmless edit.
        scores: {score: value}.
    """

    edit: str
    strength: float | None
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Climb:
    """Pixel ascent of one score from one version of a clip.

    Attributes:
        score: what was ascended.
        start: "clean", or the distortion whose severity 4 the ascent started from.
        before, after: the score at the start, and the highest on the way.
        control: the score after a random perturbation of the same budget.
        lost: what severity 4 had taken off the score; None from the clean clip.
        gradient: see `Ascent`.
    """

    score: str
    start: str
    before: float
    after: float
    control: float
    lost: float | None
    gradient: Gradient


@dataclass(frozen=True)
class ClipRecord:
    """Everything measured on one clip.

    Attributes:
        name, prompt, fps: as in `AuditClip`.
        size: frames, height and width that were scored.
        source_size: the same before the clip was cut and shrunk.
        clean: {score: value} of the clip as it is.
        again: {score: largest change over the times that the same clip was scored again}.
        ladders: one a distortion and variant that shows.
        unseen: distortion and variant of those that change nothing visible here, as distortions of
            motion do on a still clip; they were not scored.
        harmless, hacks, climbs: what the names say.
    """

    name: str
    prompt: str | None
    fps: float
    size: tuple[int, int, int]
    source_size: tuple[int, int, int]
    clean: Mapping[str, float]
    again: Mapping[str, float]
    ladders: tuple[Ladder, ...]
    unseen: tuple[tuple[str, int], ...]
    harmless: tuple[Edited, ...]
    hacks: tuple[Edited, ...]
    climbs: tuple[Climb, ...]

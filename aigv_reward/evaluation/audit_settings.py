"""What an audit does to the clips, and what it asks of a reward."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from aigv_reward.distortions import DISTORTIONS

SMALLEST_SIDE = 32


@dataclass(frozen=True)
class AuditSettings:
    """What an audit does; everything it draws follows from `seed`.

    Attributes:
        distortions: names of `DISTORTIONS`.
        variants: kernels, codecs, places, ... drawn for each clip and distortion.
        num_frames: a longer clip is cut to this many frames around its middle.
        side: a clip whose smaller side is longer is shrunk to it.
        epsilon: most that pixel ascent may change a pixel, on the 0..1 scale.
        steps: of pixel ascent; 0 leaves it out.
        batch_size: clips that the reward is given at once.
        seed: of everything that is drawn.

    Raises:
        ValueError: an unknown distortion, or a number outside its range.
    """

    distortions: tuple[str, ...] = tuple(DISTORTIONS)
    variants: int = 2
    num_frames: int = 32
    side: int = 256
    epsilon: float = 4 / 255
    steps: int = 10
    batch_size: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.distortions:
            if name not in DISTORTIONS:
                raise ValueError(
                    f"unknown distortion {name!r}; choose from {', '.join(DISTORTIONS)}"
                )
        if not self.distortions or len(set(self.distortions)) < len(self.distortions):
            raise ValueError(
                f"distortions are {list(self.distortions)}; name one or more, each once"
            )
        least = {
            "variants": 1,
            "num_frames": 2,
            "side": SMALLEST_SIDE,
            "steps": 0,
            "batch_size": 1,
            "seed": 0,
        }
        for name, limit in least.items():
            if getattr(self, name) < limit:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {limit}")
        if not 0 < self.epsilon <= 1:
            raise ValueError(
                f"epsilon is {self.epsilon}; it must be above 0 and at most 1, the pixels' range"
            )

    @property
    def step_size(self) -> float:
        """Of one step of pixel ascent: all steps together go 2.5 budgets far."""
        return 2.5 * self.epsilon / max(1, self.steps)

    @property
    def stages(self) -> int:
        """Parts of the work on one clip, for a progress bar."""
        return 1 + len(self.distortions) * self.variants + 2 + (self.steps > 0)


@dataclass(frozen=True)
class AuditThresholds:
    """What a reward must keep to for its checks to pass.

    A "step" of a score is what severity 1 takes off it, on average over the distortions that the
    score answers for: those of its own dimension, or all of them for any other score.

    Attributes:
        spearman: least mean rank correlation of severity with minus the score, within a clip.
        own: least share of ladders in which the distortion's own dimension falls most.
        pairs: least share of pairs in which a clean clip beats another clip at severity 4.
        harmless: most that a harmless edit may change a score on average, in steps.
        hack: most that a hack may raise a score on average, in steps.
        ascent: most of what severity 4 took off a score that pixel ascent may bring back.

    Raises:
        ValueError: a threshold that is not finite.
    """

    spearman: float = 0.8
    own: float = 0.8
    pairs: float = 0.9
    harmless: float = 0.1
    hack: float = 1.0
    ascent: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value):
                raise ValueError(f"threshold {field.name} is {value}; it must be finite")

"""What people said about videos: opinion scores of one video, preferences between two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aigv_reward.dimensions import Dimension

Choice = Literal["A", "B", "same"]


@dataclass(frozen=True)
class Opinion:
    """Mean opinion scores of one video.

    Attributes:
        path: the video file.
        prompt: what the generator was asked for, or None.
        scores: opinion per dimension on the list's own scale; a dimension nobody rated is absent.
        generator: name of the model that made the video, or None.
    """

    path: Path
    prompt: str | None
    scores: Mapping[Dimension, float]
    generator: str | None = None


@dataclass(frozen=True)
class Preference:
    """Which of two videos people preferred.

    Attributes:
        path_a, path_b: the video files.
        prompt: what both generators were asked for, or None.
        choices: per dimension "A", "B" or "same"; a dimension nobody compared is absent.
        generator_a, generator_b: names of the models that made the videos, or None.
    """

    path_a: Path
    path_b: Path
    prompt: str | None
    choices: Mapping[Dimension, Choice] = field(default_factory=dict)
    generator_a: str | None = None
    generator_b: str | None = None

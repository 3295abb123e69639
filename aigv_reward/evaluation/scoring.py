"""The scores that an evaluation compares with what people said."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from aigv_reward.dimensions import DIMENSIONS, Dimension
from aigv_reward.reward import RewardFn, VideoReward
from aigv_reward.training.opinions import Opinion, Preference
from aigv_reward.video import read_video

Records = Sequence[Opinion] | Sequence[Preference]


@dataclass(frozen=True)
class VideoScores:
    """Scores of videos, computed before or elsewhere.

    Attributes:
        scores: {video: {dimension: score}}, higher is better.
        failed: {video: why it has no scores}.
        untrained: dimensions that the checkpoint answers but was not trained for.
    """

    scores: Mapping[Path, Mapping[Dimension, float]]
    failed: Mapping[Path, str] = field(default_factory=dict)
    untrained: tuple[Dimension, ...] = ()


def list_videos(records: Iterable[Opinion | Preference]) -> dict[Path, str | None]:
    """{video: prompt}, each file once, in the order of the list; of several prompts the first."""
    videos: dict[Path, str | None] = {}
    for record in records:
        paths = (record.path,) if isinstance(record, Opinion) else (record.path_a, record.path_b)
        for path in paths:
            videos.setdefault(path, record.prompt)
    return videos


def score_list(
    reward: RewardFn,
    videos: Mapping[Path, str | None],
    *,
    dimensions: Sequence[Dimension] | None = None,
    batch_size: int = 8,
) -> VideoScores:
    """Scores of all videos by a reward.

    Args:
        reward: a `VideoReward`, which is asked for dimensions, or any reward, which says what it
            answers: one tensor is `overall`.
        videos: {video: prompt}.
        dimensions: of a `VideoReward`; default all that it answers.
        batch_size: windows that go through a `VideoReward` at once.

    Raises:
        VideoDecodeError: a file that cannot be read.
        ValueError: anything else that has no score.
    """
    if isinstance(reward, VideoReward):
        paths = list(videos)
        prompts = list(videos.values()) if reads_prompts(reward) else None
        with torch.no_grad():
            scored = reward.score(paths, prompts, dimensions=dimensions, batch_size=batch_size)
        untrained = tuple(name for name in scored.dimensions if name not in scored.trained)
        return VideoScores(dict(zip(paths, scored.rows(), strict=True)), untrained=untrained)
    return VideoScores({path: score_file(reward, path, text) for path, text in videos.items()})


def reads_prompts(reward: VideoReward) -> bool:
    """Whether a text prompt can tell in any score of this reward."""
    questions = reward.model.config.prompt_format.questions
    asked = any(questions[name].prompted_ids is not None for name in reward.dimensions)
    return asked and reward.tokenizer is not None


def score_file(
    reward: RewardFn, path: str | os.PathLike[str], prompt: str | None
) -> dict[Dimension, float]:
    """Scores of one file by any reward; one tensor is `overall`.

    Args:
        reward: called with all frames of the file, float in [0, 1] on the CPU.
        path: the file.
        prompt: what its generator was asked for, or None.

    Raises:
        VideoDecodeError: the file cannot be read.
        ValueError: an answer that is no finite number a dimension.
    """
    video = read_video(path)
    with torch.no_grad():
        answer = reward(video.frames[None].float() / 255, [prompt], fps=video.fps)
    named = dict(answer) if isinstance(answer, Mapping) else {"overall": answer}
    for name, value in named.items():
        if name not in DIMENSIONS:
            raise ValueError(
                f"the reward answers {name!r}, which is no dimension; it must return one tensor, "
                f"or one for each of some of {', '.join(DIMENSIONS)}"
            )
        if not (isinstance(value, Tensor) and value.shape == (1,) and torch.isfinite(value)):
            raise ValueError(
                f"the reward answers {value!r} as {name} of one video; it must be one finite "
                "number, a tensor of shape (1,)"
            )
    return {cast(Dimension, name): float(value) for name, value in named.items()}

"""Scoring the videos of a list for `aigv-reward evaluate`, each file once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aigv_reward.cli.errors import CommandError, UsageError, note, one_line
from aigv_reward.cli.evaluate_output import scores_csv
from aigv_reward.cli.loading import check_answers
from aigv_reward.cli.progress import progress_bar
from aigv_reward.cli.rows import Row
from aigv_reward.cli.scoring import FAILURES, score_files
from aigv_reward.dimensions import DIMENSIONS, Dimension

if TYPE_CHECKING:
    from aigv_reward.evaluation.scoring import Records, VideoScores
    from aigv_reward.reward import RewardFn, VideoReward

NAMED_FAILURES: Final = 20
"""Failed videos that stderr names one by one; scores.csv has all."""


@dataclass(frozen=True)
class Job:
    """What is to be scored and where the rows go.

    Attributes:
        file: the csv to write.
        records: the list.
        videos: {video: prompt}.
        dimensions: what was asked for, None for all that are rated.
    """

    file: Path
    records: Records
    videos: Mapping[Path, str | None]
    dimensions: tuple[Dimension, ...] | None


def score_by_model(
    job: Job, reward: VideoReward, *, batch_size: int, clips: int
) -> tuple[VideoScores, bool]:
    """The scores, and whether text prompts were read.

    Raises:
        UsageError: the model does not answer what was asked, or nothing that was rated.
    """
    from aigv_reward.evaluation.scoring import reads_prompts

    rated = rated_dimensions(job.records)
    names = job.dimensions or tuple(name for name in reward.dimensions if name in rated)
    if not names:
        raise UsageError(
            f"this checkpoint scores {', '.join(reward.dimensions)}, and the list rates "
            f"{', '.join(rated)}; there is nothing to compare"
        )
    check_answers(reward, names, ())
    questions = reward.model.config.prompt_format.questions
    asked = any(questions[name].prompted_ids is not None for name in names)
    read = asked and reads_prompts(reward) and any(job.videos.values())
    prompts = [prompt if read else None for prompt in job.videos.values()]
    untrained = tuple(name for name in names if name not in reward.trained)
    paths = [str(path) for path in job.videos]
    with closing(
        score_files(reward, paths, prompts, dimensions=names, batch_size=batch_size, clips=clips)
    ) as rows:
        return _gather(job, rows, names, untrained), read


def score_by_any(job: Job, reward: RewardFn, label: str) -> VideoScores:
    """The scores of any reward, one file at a time.

    Raises:
        CommandError: the reward itself fails.
    """
    from aigv_reward.evaluation.scoring import score_file

    def rows() -> Iterable[Row]:
        for path, prompt in job.videos.items():
            try:
                yield Row(str(path), score_file(reward, path, prompt))
            except FAILURES as error:
                yield Row(str(path), {}, error=one_line(str(error)))
            except Exception as error:
                raise CommandError(
                    f"reward {label!r} failed on {str(path)!r} ({type(error).__name__}: {error})"
                ) from error

    return _gather(job, rows(), job.dimensions or DIMENSIONS, ())


def keep_scores(job: Job, table: VideoScores) -> None:
    """Write scores that were read from elsewhere, beside the list's opinions."""
    names = {name for values in table.scores.values() for name in values}
    dimensions = tuple(name for name in DIMENSIONS if name in names)
    with scores_csv(job.file, job.records, dimensions, table.untrained) as write:
        for path in job.videos:
            write(Row(str(path), dict(table.scores.get(path, {})), error=table.failed.get(path)))


def name_failures(table: VideoScores) -> None:
    """Say on stderr which videos have no scores, and why."""
    for path, reason in list(table.failed.items())[:NAMED_FAILURES]:
        note(f"{path}: {reason}")
    if len(table.failed) > NAMED_FAILURES:
        note(f"and {len(table.failed) - NAMED_FAILURES} more, in scores.csv")


def rated_dimensions(records: Records) -> tuple[Dimension, ...]:
    """Dimensions that the list holds opinions or choices of."""
    from aigv_reward.training.opinions import Opinion

    found = {
        name
        for one in records
        for name in (one.scores if isinstance(one, Opinion) else one.choices)
    }
    return tuple(name for name in DIMENSIONS if name in found)


def _gather(
    job: Job, rows: Iterable[Row], names: Sequence[Dimension], untrained: tuple[Dimension, ...]
) -> VideoScores:
    from aigv_reward.evaluation.scoring import VideoScores

    scores: dict[Path, Mapping[Dimension, float]] = {}
    failed: dict[Path, str] = {}
    with (
        progress_bar(len(job.videos), "table") as advance,
        scores_csv(job.file, job.records, names, untrained) as write,
    ):
        for path, row in zip(job.videos, rows, strict=True):
            write(row)
            if row.error is None:
                scores[path] = row.scores
            else:
                failed[path] = row.error
            advance()
    return VideoScores(scores, failed, untrained)

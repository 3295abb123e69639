"""Files through the model: decoded ahead of it by a few threads, scored in batches, in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from aigv_reward.cli.errors import note, one_line
from aigv_reward.cli.loading import check_prompt
from aigv_reward.cli.rows import Row
from aigv_reward.dimensions import Dimension

if TYPE_CHECKING:
    from aigv_reward.reward import VideoReward
    from aigv_reward.views import Views

FAILURES = (ValueError, RuntimeError, MemoryError, OSError)
"""What a file can do to its row; anything else is a fault of ours and ends the command."""

DECODERS = min(4, os.cpu_count() or 1)
"""Threads that decode; each call opens a reader of its own."""


@dataclass(frozen=True)
class _File:
    path: str
    prompt: str | None
    views: Views | None = None
    error: str | None = None


def score_files(
    reward: VideoReward,
    videos: Sequence[str],
    prompts: Sequence[str | None],
    *,
    dimensions: Sequence[Dimension],
    batch_size: int = 8,
    clips: int = 1,
) -> Generator[Row, None, None]:
    """A row a video, in order, as soon as its batch is scored.

    At most two batches and one file a decoding thread are in memory, as views. A file whose prompt
    is refused, that cannot be read, or that the model fails on gets an error row; the others of its
    batch are scored.

    Args:
        reward: what to score with.
        videos: paths.
        prompts: one or None a video.
        dimensions: what to score.
        batch_size: windows that go through the model at once; scores do not depend on it.
        clips: consecutive windows of each video, whose scores are averaged.
    """
    size = max(1, batch_size // clips)
    batch: list[_File] = []
    waiting = 0
    ahead = size + DECODERS
    with closing(_decoded(reward, videos, prompts, dimensions, clips, ahead=ahead)) as files:
        for file in files:
            batch.append(file)
            waiting += file.views is not None
            if waiting in (0, size):
                yield from _score(reward, batch, dimensions, batch_size)
                batch, waiting = [], 0
    yield from _score(reward, batch, dimensions, batch_size)


def conclude(failed: int, total: int, max_error_rate: float) -> int:
    """The exit status of a command that scored `total` files; says on stderr if some failed."""
    if not failed:
        return 0
    share = failed / total
    said = f"{failed} of {total} videos could not be scored ({share:.1%})"
    if share <= max_error_rate:
        note(f"{said}, which --max-error-rate {max_error_rate:g} allows")
        return 0
    note(
        f"error: {said}; repair or leave out the files named above, or allow with --max-error-rate"
    )
    return 1


def _decoded(
    reward: VideoReward,
    videos: Sequence[str],
    prompts: Sequence[str | None],
    dimensions: Sequence[Dimension],
    clips: int,
    *,
    ahead: int,
) -> Generator[_File, None, None]:
    """The files in order with their views, at most `ahead` of them waiting."""
    pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")

    def prepare(path: str, prompt: str | None) -> _File:
        try:
            check_prompt(reward, prompt, dimensions)
            return _File(path, prompt, views=reward.prepare(path, clips=clips))
        except FAILURES as error:
            return _File(path, prompt, error=_reason(error))

    try:
        jobs = zip(videos, prompts, strict=True)
        queue: deque[Future[_File]] = deque(
            pool.submit(prepare, *job) for job in islice(jobs, ahead)
        )
        while queue:
            file = queue.popleft().result()
            queue.extend(pool.submit(prepare, *job) for job in islice(jobs, 1))
            yield file
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _score(
    reward: VideoReward, batch: Sequence[_File], dimensions: Sequence[Dimension], batch_size: int
) -> Iterator[Row]:
    good = [file for file in batch if file.views is not None]
    rows: dict[str, Row] = {}
    try:
        rows = _rows(reward, good, dimensions, batch_size)
    except FAILURES:
        for file in good:
            try:
                rows |= _rows(reward, [file], dimensions, batch_size)
            except FAILURES as error:
                rows[file.path] = Row(file.path, {}, error=_reason(error))
    for file in batch:
        yield rows.get(file.path) or Row(file.path, {}, error=file.error)


def _rows(
    reward: VideoReward, files: Sequence[_File], dimensions: Sequence[Dimension], batch_size: int
) -> dict[str, Row]:
    """{path: row} of files whose windows all go through the model."""
    import torch

    from aigv_reward.views import Views

    if not files:
        return {}
    views = Views.cat([file.views for file in files if file.views is not None])
    clips = len(views) // len(files)
    prompts = [file.prompt for file in files for _ in range(clips)]
    parts = []
    with torch.no_grad():
        for start in range(0, len(views), batch_size):
            stop = min(start + batch_size, len(views))
            part = Views.cat([views[index] for index in range(start, stop)])
            parts.append(reward.score_views(part, prompts[start:stop], dimensions=dimensions))
    windows = {
        name: torch.cat([part[name].detach().float().cpu() for part in parts]).view(-1, clips)
        for name in dimensions
    }
    return {
        file.path: Row(
            file.path,
            {name: float(values[index].mean()) for name, values in windows.items()},
            windows={name: values[index].tolist() for name, values in windows.items()}
            if clips > 1
            else None,
        )
        for index, file in enumerate(files)
    }


def _reason(error: BaseException) -> str:
    """One line; without the path of a decoding error, which the row has anyway."""
    from aigv_reward.video import VideoDecodeError

    if isinstance(error, VideoDecodeError):
        return one_line(error.reason or str(error))
    if isinstance(error, ValueError):
        return one_line(str(error))
    return one_line(f"{type(error).__name__}: {error}")

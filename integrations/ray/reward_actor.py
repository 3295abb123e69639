"""Scores as columns of a Ray data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import torch

from aigv_reward import VideoReward

FAILURES: Final = (ValueError, RuntimeError, MemoryError, OSError)
"""What a file can do to its row; anything else is a fault of ours and ends the job."""


class RewardActor:
    """Adds a column per dimension, and `error`, to batches with paths of videos.

    For `dataset.map_batches(RewardActor, batch_format="pyarrow", concurrency=n, batch_size=8)`,
    with `num_gpus=1` where there are GPUs, and arguments as `fn_constructor_kwargs`. A video that
    cannot be scored has nulls and the reason in `error`. One that kills its process takes the block
    with it, as in every `map_batches`: `score_corpus_on_ray` finds it and keeps the others.

    Args:
        checkpoint: the bundled default, a folder, or a hub id.
        device: as torch names it; None for cuda where the actor has one, else cpu.
        dimensions: what to score, default all that the checkpoint answers.
        clips: windows of each video whose scores are averaged.
        path_column: which holds the paths.
        prompt_column: which holds the texts that the videos were made from; None: no prompts.

    Raises:
        ValueError: no such checkpoint, or a dimension that it does not answer.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        device: str | None = None,
        dimensions: Sequence[str] | None = None,
        clips: int = 1,
        path_column: str = "path",
        prompt_column: str | None = None,
    ) -> None:
        if clips < 1:
            raise ValueError(f"clips is {clips}; it must be at least 1")
        name = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.reward = VideoReward.from_pretrained(checkpoint, device=name)
        self.dimensions = tuple(dimensions or self.reward.dimensions)
        for one in self.dimensions:
            if one not in self.reward.dimensions:
                raise ValueError(
                    f"unknown dimension {one!r}; this reward scores "
                    f"{', '.join(self.reward.dimensions)}"
                )
        self.clips, self.path_column, self.prompt_column = clips, path_column, prompt_column

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The batch with its scores.

        Raises:
            ValueError: another batch format, no column of paths or prompts, or one that has the
                name of a score.
        """
        if not isinstance(batch, pa.Table):
            raise ValueError(
                f"the batch is a {type(batch).__name__}, which cannot hold null scores; give "
                'map_batches batch_format="pyarrow"'
            )
        for name in (self.path_column, self.prompt_column):
            if name is not None and name not in batch.column_names:
                raise ValueError(
                    f"the batch has no column {name!r}; it has {', '.join(batch.column_names)}"
                )
        for name in (*self.dimensions, "error"):
            if name in batch.column_names:
                raise ValueError(f"the batch has a column {name!r} already; rename or drop it")
        paths = batch[self.path_column].to_pylist()
        given = batch[self.prompt_column].to_pylist() if self.prompt_column else None
        rows = self._rows(paths, given or [None] * len(paths))
        for name in self.dimensions:
            column = [row.get(name) for row in rows]
            batch = batch.append_column(name, pa.array(column, pa.float64()))
        errors = [row.get("error") for row in rows]
        return batch.append_column("error", pa.array(errors, pa.string()))

    def _rows(self, paths: Sequence[Any], prompts: Sequence[str | None]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [{} for _ in paths]
        views = {}
        for place, path in enumerate(paths):
            try:
                if not isinstance(path, str):
                    raise ValueError(f"the path is {path!r}; give text")
                views[place] = self.reward.prepare(path, clips=self.clips)
            except FAILURES as error:
                rows[place] = _failure(error)
        if not views:
            return rows
        try:
            scored = self._scores(list(views.values()), [prompts[place] for place in views])
            for place, row in zip(views, scored, strict=True):
                rows[place] = row
        except torch.AcceleratorError:
            raise  # the device is of no more use to this process
        except FAILURES:
            for place, each in views.items():
                try:
                    rows[place] = self._scores([each], [prompts[place]])[0]
                except FAILURES as error:
                    rows[place] = _failure(error)
        return rows

    def _scores(self, views: Sequence[Any], prompts: Sequence[str | None]) -> list[dict[str, Any]]:
        texts = [text for text in prompts for _ in range(self.clips)]
        with torch.no_grad():
            scores = self.reward.score_views(
                type(views[0]).cat(views),
                texts,
                dimensions=self.dimensions,  # type: ignore[arg-type]
            )
        rows: list[dict[str, Any]] = [{} for _ in views]
        for name, values in scores.items():
            means = values.cpu().double().view(len(views), -1).mean(dim=1).tolist()
            for row, value in zip(rows, means, strict=True):
                row[name] = value
        return rows


def _failure(error: BaseException) -> dict[str, Any]:
    text = os.fsencode(" ".join(str(error).split())).decode("utf-8", "replace")
    return {"error": f"{type(error).__name__}: {text}" if text else type(error).__name__}

"""The reward of clips that a language model chooses or describes."""

from __future__ import annotations

import logging
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Any

import torch

from aigv_reward import RewardFn, VideoReward
from aigv_reward.integrations.trl.conversation import check_lengths, column, text_of
from aigv_reward.integrations.trl.logs import log
from aigv_reward.integrations.trl.request_scores import Result, RowFailure, RowScores
from aigv_reward.integrations.trl.video_scores import score_video

logger = logging.getLogger(__name__)


class QualityColumnReward:
    """A reward function of TRL for completions about videos that the data set has.

    What a completion is depends on the column. Cells that are lists hold candidates: the
    completion chooses one, by its number (the first is 1) or its name (a file's, with or without
    its suffix), and gets that video's score under the row's prompt. With several columns it
    chooses one by the column's name or number. Cells that are one video each are described: the
    completion is the prompt that the video is scored with.

    A row that chooses nothing, or several, gets `invalid`. A video that cannot be scored is None,
    as in `VideoPromptReward`, and a call in which every video fails raises.

    Args:
        reward: any reward.
        column: one column of videos or of lists of them, or the names of several columns. Videos
            are paths, cells of `datasets.Video(decode=False)`, bytes or tensors (T, 3, H, W).
        weights: {dimension: weight} of the total; None: the reward's own, see `scores_of`.
        fps: of videos that are tensors.
        parse: text of the completion -> the choice in it, for answers with other words around;
            by default the one number or name that stands in it.
        invalid: the reward of an answer that chooses nothing; None leaves the row out, so that
            the format is not learned.
        cache: scores that are remembered, the latest; 0 for none.
        name: in TRL's logs.

    Raises:
        ValueError: no column, or a negative `cache`.
    """

    def __init__(
        self,
        reward: RewardFn,
        column: str | Sequence[str],
        *,
        weights: Mapping[str, float] | None = None,
        fps: float | None = None,
        parse: Callable[[str], str] | None = None,
        invalid: float | None = None,
        cache: int = 4096,
        name: str = "quality",
    ) -> None:
        if not column or cache < 0:
            raise ValueError(f"column is {column!r} and cache {cache}; name a column, cache >= 0")
        self.reward, self.weights, self.fps = reward, weights, fps
        self.column = column if isinstance(column, str) else tuple(column)
        self.parse, self.invalid, self.cache = parse, invalid, cache
        self._kept: OrderedDict[tuple[str, str], RowScores] = OrderedDict()
        self.__name__ = name

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """The total of each row, in TRL's calling convention; None where there is none.

        Raises:
            ValueError: a column that is not there or does not hold videos.
            Exception: what the first video raised, where every one failed.
        """
        check_lengths(prompts, completions)
        results: list[Result | None] = []
        for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            answer = text_of(completion)
            asked = self._asked(columns, row, len(prompts), text_of(prompt), answer)
            results.append(None if asked is None else self._score(*asked))
        known = [result for result in results if result is not None]
        failures = [result for result in known if isinstance(result, RowFailure)]
        masked = "log_metric" in columns or "trainer_state" not in columns
        if failures and (len(failures) == len(known) or not masked):
            raise failures[0].error
        if not masked and self.invalid is None and len(known) < len(results):
            raise ValueError(
                "a completion chooses no video, and this trainer counts a missing reward as 0; "
                "give invalid= a number"
            )
        log(self.__name__, [r or RowFailure(ValueError("no choice")) for r in results], columns)
        return [self._total(result) for result in results]

    def _total(self, result: Result | None) -> float | None:
        if result is None:
            return self.invalid
        return result.total if isinstance(result, RowScores) else None

    def _asked(
        self, columns: Mapping[str, Any], row: int, count: int, prompt: str, answer: str
    ) -> tuple[Any, str] | None:
        """The video of a row and the text it is scored with; None where none is chosen."""
        if isinstance(self.column, tuple):
            videos = [column(columns, name, count)[row] for name in self.column]
            names = list(self.column)
        else:
            cell = column(columns, self.column, count)[row]
            if not isinstance(cell, list | tuple):
                return cell, answer
            videos, names = list(cell), [_name(video) for video in cell]
        chosen = choice(self.parse(answer) if self.parse else answer, names)
        return None if chosen is None else (videos[chosen], prompt)

    def _score(self, video: Any, text: str) -> Result:
        key = (_file(video), text)
        if key[0] and key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        try:
            scores = score_video(self.reward, video, text, fps=self.fps, weights=self.weights)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # whatever a user's reward raises; told, not scored
            logger.warning("no score for %s: %s: %s", _name(video), type(error).__name__, error)
            return RowFailure(error)
        if key[0] and self.cache:
            self._kept[key] = scores
            if len(self._kept) > self.cache:
                self._kept.popitem(last=False)
        return scores


def choice(answer: str, names: Sequence[str]) -> int | None:
    """The index of the one candidate that an answer chooses; None for none or several.

    Candidates are named, or numbered from 1. Names go before numbers, so that a digit in a name
    is no number.
    """
    found: set[int] = set()
    rest = answer
    owners = _owners(names)
    for name in sorted(owners, key=len, reverse=True):
        pattern = rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)"
        if re.search(pattern, rest):
            found |= owners[name] if found.isdisjoint(owners[name]) else set()
            rest = re.sub(pattern, " ", rest)
    if not found:
        numbers = {int(n) for n in re.findall(r"(?<![\w.-])\d{1,6}(?![\w-]|\.\d)", rest)}
        if numbers and not numbers <= set(range(1, len(names) + 1)):
            return None
        found = {number - 1 for number in numbers}
    return found.pop() if len(found) == 1 else None


def _owners(names: Sequence[str]) -> dict[str, set[int]]:
    """The candidates that a text may mean; several where it does not tell them apart.

    It names them in full, or else without their folder, or else without their suffix too.
    """
    owners: dict[str, set[int]] = {}
    for shortened in (str, lambda n: PurePath(n).name, lambda n: PurePath(n).stem):
        level: dict[str, set[int]] = {}
        for index, name in enumerate(names):
            level.setdefault(shortened(name), set()).add(index)
        owners = level | owners
    owners.pop("", None)
    return owners


def _file(video: Any) -> str:
    """Where a video is, "" for one that is at hand: its name says nothing of what is in it."""
    return "" if isinstance(video, Mapping) and video.get("bytes") else _name(video)


def _name(video: Any) -> str:
    if isinstance(video, Mapping):
        video = video.get("path")
    return os.fspath(video) if isinstance(video, str | os.PathLike) else ""


@cache
def _bundled(column: str) -> QualityColumnReward:
    return QualityColumnReward(VideoReward.from_pretrained(), column, name="bundled_reward")


def bundled_reward(
    prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
) -> list[float | None]:
    """The bundled default for `trl grpo --reward_funcs`, loaded when it is first called.

    The data set has a column `videos` with lists of paths, of which the completion chooses one,
    or a column `video` with a path, which the completion describes; see `QualityColumnReward`.

    Raises:
        ValueError: neither column, or both.
    """
    there = [name for name in ("videos", "video") if name in columns]
    if len(there) != 1:
        raise ValueError(
            f"the data set has {' and '.join(there) or 'no column videos or video'}; give it one "
            "of them. To reward rewritten prompts, name a VideoPromptReward of your own module"
        )
    return _bundled(there[0])(prompts, completions, **columns)

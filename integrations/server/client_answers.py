"""Answers to scores, the same for both clients; what is no answer of ours is never a number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import httpx
import torch
from torch import Tensor

from aigv_reward import Scores
from aigv_reward.integrations.server.client_retries import not_ours
from aigv_reward.integrations.server.client_wire import Part

LARGEST: Final = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class Answer:
    """The scores of a part of a call.

    Attributes:
        dimensions: that were scored.
        trained: those of them that the checkpoint was trained to answer.
        calibrated: see `Scores`.
        score_version: of the checkpoint, or None.
        rows: {index of the video: {dimension: score}}.
        url: that answered.
    """

    dimensions: tuple[str, ...]
    trained: tuple[str, ...]
    calibrated: bool
    score_version: Any
    rows: dict[int, dict[str, float]]
    url: httpx.URL


def read_info(response: httpx.Response) -> dict[str, Any]:
    """What a server says about itself.

    Raises:
        ValueError: it refuses the request.
        RewardUnavailable: it is no such server.
    """
    content = _content(response)
    _names(response.url, content, "dimensions")
    return content


def read_answer(
    response: httpx.Response, part: Part, dimensions: Sequence[str] | None = None
) -> Answer:
    """The scores in an answer.

    Args:
        response: of `POST /v1/score`.
        part: what was asked.
        dimensions: that were asked for; None for all.

    Raises:
        ValueError: the server refuses the request, or a video has no score; the message has its
            place and the server's reason.
        RewardUnavailable: it is no answer of such a server, or not to what was asked.
    """
    url, content = response.url, _content(response)
    names, trained = _names(url, content, "dimensions"), _names(url, content, "trained")
    for name in (*(dimensions or ()), *trained):
        if name not in names:
            raise not_ours(url, f"its answer has no scores for {name!r}, only for {list(names)}")
    calibrated, results = content.get("calibrated"), content.get("results")
    if not isinstance(calibrated, bool):
        raise not_ours(url, f"'calibrated' is {_shown(calibrated)}, neither true nor false")
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        raise not_ours(url, f"'results' is {_shown(results)}, no list of objects")
    found: dict[Any, dict[str, Any]] = {}
    for result in results:
        name = str(result.get("id"))
        if name in found or name not in map(str, part.indices):
            raise not_ours(url, f"a result for {name[:80]!r}, which was asked for at most once")
        found[name] = result
    rows = {}
    for index in part.indices:
        if str(index) not in found:
            raise not_ours(url, f"its answer has no result for videos[{index}]")
        rows[index] = _row(url, found[str(index)], names, index)
    version = content.get("score_version")
    return Answer(names, trained, calibrated, version, rows, url)


def as_scores(answers: Sequence[Answer], count: int) -> Scores:
    """All answers of a call as one.

    Raises:
        RewardUnavailable: they are those of different checkpoints.
    """
    first, *others = answers
    for one in others:
        for field in ("dimensions", "trained", "calibrated", "score_version"):
            before, now = getattr(first, field), getattr(one, field)
            if before != now:
                raise not_ours(
                    one.url, f"its answers to one call differ in {field}: {before}, then {now}"
                )
    rows = {index: row for one in answers for index, row in one.rows.items()}
    values = {
        name: torch.tensor([rows[index][name] for index in range(count)], dtype=torch.float32)
        for name in first.dimensions
    }
    return Scores(values, first.trained, calibrated=first.calibrated)  # type: ignore[arg-type]


def chosen(scores: Scores, dimensions: Sequence[str] | None, frames: Tensor) -> dict[str, Tensor]:
    """The dimensions that a reward returns, on the frames' device.

    Raises:
        ValueError: none was asked for, and the checkpoint was trained for none.
    """
    names: Any = scores.trained if dimensions is None else dimensions
    if not names:
        raise ValueError(
            "the server's checkpoint was trained for no dimension that it answers; name some with "
            f"dimensions=, of {', '.join(scores.dimensions)}"
        )
    return {name: scores[name].to(frames.device) for name in names}


def _content(response: httpx.Response) -> dict[str, Any]:
    try:
        content = json.loads(response.content, parse_constant=_no_number)
    except (ValueError, RecursionError):
        content = None
    if response.status_code != 200:
        told = content.get("error") if isinstance(content, dict) else None
        message = told.get("message") if isinstance(told, dict) else response.reason_phrase
        raise ValueError(f"the server refuses the request ({response.status_code}): {message}")
    if not isinstance(content, dict):
        raise not_ours(response.url, f"{_shown(response.text)} is no JSON object")
    return content


def _names(url: httpx.URL, content: Mapping[str, Any], field: str) -> tuple[str, ...]:
    names = content.get(field)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise not_ours(url, f"{field!r} is {_shown(names)}, no list of dimensions")
    if field == "dimensions" and not names:
        raise not_ours(url, "it scores no dimension")
    return tuple(names)


def _row(
    url: httpx.URL, result: Mapping[str, Any], names: Sequence[str], index: int
) -> dict[str, float]:
    error, scores = result.get("error"), result.get("scores")
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        raise ValueError(f"videos[{index}]: {error['message']} ({error.get('type')})")
    if not isinstance(scores, dict):
        raise not_ours(url, f"the result for videos[{index}] has neither scores nor an error")
    for name in names:
        score: Any = scores.get(name)
        if type(score) not in (int, float) or not -LARGEST <= score <= LARGEST:
            raise not_ours(url, f"{name} of videos[{index}] is {_shown(score)}, no finite number")
    return {name: float(scores[name]) for name in names}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")

"""Answers to scores, the same for both clients."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import httpx
import torch
from torch import Tensor

from aigv_reward import Scores
from aigv_reward.integrations.server.client_retries import RewardUnavailable
from aigv_reward.integrations.server.client_wire import Part


def read_answer(response: httpx.Response) -> dict[str, Any]:
    """The content of an answer with results.

    Raises:
        ValueError: the server refuses the request.
        RewardUnavailable: it is no answer of such a server.
    """
    try:
        content = json.loads(response.content, parse_constant=_no_number)
    except ValueError:
        content = None
    if response.status_code != 200:
        told = content.get("error") if isinstance(content, dict) else None
        message = told.get("message") if isinstance(told, dict) else response.reason_phrase
        raise ValueError(f"the server refuses the request ({response.status_code}): {message}")
    if not isinstance(content, dict) or not isinstance(content.get("results"), list):
        raise RewardUnavailable(
            f"{response.url.host} answers, but not as a reward server does; check the address"
        )
    return content


def as_scores(answers: Sequence[tuple[Part, Mapping[str, Any]]], count: int) -> Scores:
    """All answers of a call as one.

    Raises:
        ValueError: a video has no score; the message has its place and the server's reason.
        RewardUnavailable: an answer without a result for each video.
    """
    rows: dict[int, dict[str, float]] = {}
    for part, answer in answers:
        found = {result.get("id"): result for result in answer["results"]}
        for index in part.indices:
            result = found.get(str(index), {})
            if "error" in result:
                error = result["error"]
                raise ValueError(f"videos[{index}]: {error['message']} ({error['type']})")
            if "scores" not in result:
                raise RewardUnavailable(f"the server's answer has no result for videos[{index}]")
            rows[index] = result["scores"]
    answer = answers[0][1]
    values = {
        name: torch.tensor([rows[index][name] for index in range(count)], dtype=torch.float32)
        for name in answer["dimensions"]
    }
    return Scores(values, tuple(answer["trained"]), calibrated=answer["calibrated"])


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


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")

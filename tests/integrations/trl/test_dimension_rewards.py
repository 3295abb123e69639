"""One function a dimension, one generation for all."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward.integrations.trl import video_reward_funcs

CALLS: list[list[str]] = []


def paint(prompts: Sequence[str], *, seeds: Sequence[int]) -> list[Tensor]:
    CALLS.append(list(prompts))
    if "broken" in prompts:
        raise RuntimeError("no such video")
    return [torch.full((2, 3, 4, 4), float(prompt)) for prompt in prompts]


def measure(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    level = frames.mean(dim=(1, 2, 3, 4))
    return {"technical": level, "motion": 1 - level}


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


@pytest.mark.parametrize("cache", [0, 100])
def test_a_batch_is_generated_once_for_all_functions(cache: int) -> None:
    functions = video_reward_funcs(
        paint, measure, dimensions=["motion", "technical"], batch_size=4, cache=cache
    )
    assert [function.__name__ for function in functions] == ["motion", "technical"]
    texts = ["0.25", "broken", "0.5"]
    values = [function(["a"] * 3, texts) for function in functions]
    assert values == [[0.75, None, 0.5], [0.25, None, 0.5]]
    assert CALLS == [texts, ["0.25"], ["broken"], ["0.5"]]  # together, then each alone; only once


def test_only_the_first_logs() -> None:
    metrics: list[tuple[str, float]] = []
    for function in video_reward_funcs(paint, measure, dimensions=["motion", "technical"]):
        function(["a"], ["0.25"], log_metric=lambda *pair: metrics.append(pair))
    assert metrics == [("video/failed", 0.0), ("video/technical", 0.25), ("video/motion", 0.75)]


def test_asynchronous_functions_share_as_well() -> None:
    functions = video_reward_funcs(
        paint, measure, dimensions=["motion", "technical"], asynchronous=True
    )

    async def both() -> list[Any]:
        return list(await asyncio.gather(*(f(["a"], ["0.25"]) for f in functions)))

    assert asyncio.run(both()) == [[0.75], [0.25]]
    assert CALLS == [["0.25"]]


def test_they_pickle_and_still_share() -> None:
    functions = pickle.loads(
        pickle.dumps(video_reward_funcs(paint, measure, dimensions=["motion", "technical"]))
    )
    assert [function(["a"], ["0.25"]) for function in functions] == [[0.75], [0.25]]
    assert CALLS == [["0.25"]]


def test_what_is_refused() -> None:
    for names in ([], "motion", ["motion", "motion"]):
        with pytest.raises(ValueError, match="name each once, in a list"):
            video_reward_funcs(paint, measure, dimensions=names)
    with pytest.raises(ValueError, match="TRL's reward_weights weigh the functions"):
        video_reward_funcs(paint, measure, dimensions=["motion"], weights={"motion": 1.0})
    (function,) = video_reward_funcs(paint, measure, dimensions=["semantic"])
    with pytest.raises(ValueError, match="weights have 'semantic', which the reward does not"):
        function(["a"], ["0.25"])

"""One function a dimension, all of one generation."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from trl.trainer.utils import get_callable_name, is_async_callable

from aigv_reward import VideoReward
from aigv_reward.integrations.trl import VideoPromptReward, video_reward_funcs
from aigv_reward.integrations.trl.dimension_rewards import DimensionReward

NAMES = ["motion", "light", "words"]
ROWS: dict[str, Any] = {"prompts": ["a cat", "a cat", "dog"], "completions": ["b", "c", "b"]}


def called(function: Any, **columns: Any) -> Any:
    found = function(**ROWS, **columns)
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


@pytest.mark.parametrize("cache", [0, 8])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_says_its_dimension_of_one_generation(
    painter: Any, judge: Any, painted: Any, asynchronous: bool, cache: int
) -> None:
    functions = video_reward_funcs(
        painter, judge, dimensions=NAMES, asynchronous=asynchronous, batch_size=2, cache=cache
    )
    found = [called(function, seed=[4, 5, 4]) for function in functions]
    videos = torch.stack([painted("b", 4), painted("c", 5), painted("b", 4)])
    values = judge(videos, ROWS["prompts"])
    assert painter.made == ["b", "c", "b"] and len(painter.calls) == 2
    for name, scores in zip(NAMES, found, strict=True):
        assert scores == pytest.approx(values[name].tolist())


@pytest.mark.parametrize("cache", [0, 8])
def test_functions_that_are_awaited_at_once_generate_once(
    painter: Any, judge: Any, cache: int
) -> None:
    functions = video_reward_funcs(
        painter, judge, dimensions=NAMES, asynchronous=True, cache=cache, batch_size=3
    )

    async def every() -> Any:
        return await asyncio.gather(*(function(**ROWS) for function in functions))

    found = asyncio.run(every())
    assert len(painter.calls) == 1
    assert found == [f(**ROWS) for f in video_reward_funcs(painter, judge, dimensions=NAMES)]


def test_trl_takes_them_for_functions_of_their_dimensions(painter: Any, judge: Any) -> None:
    for asynchronous in (False, True):
        functions = video_reward_funcs(painter, judge, dimensions=NAMES, asynchronous=asynchronous)
        assert [get_callable_name(function) for function in functions] == NAMES
        assert not any(isinstance(function, nn.Module) for function in functions)
        assert {is_async_callable(function) for function in functions} == {asynchronous}


def test_a_failed_row_is_none_for_all_and_generated_once(
    painter: Any, judge: Any, logs: Any
) -> None:
    functions = video_reward_funcs(painter, judge, dimensions=NAMES, cache=0)
    rows = {"prompts": ["a"] * 3, "completions": ["b", "broken", "c"]}
    found = [function(**rows, **logs.columns) for function in functions]
    assert [[score is None for score in scores] for scores in found] == [[False, True, False]] * 3
    assert painter.made == ["b", "broken", "c"]
    with pytest.raises(RuntimeError, match="this trainer counts a missing one as 0"):
        functions[1](**rows, trainer_state=object())
    with pytest.raises(RuntimeError, match="no picture of 'broken 1'"):
        functions[0](["a"], ["broken 1"], **logs.columns)


def test_the_logs_are_told_once(painter: Any, judge: Any, logs: Any) -> None:
    """By the first: TRL logs the rewards of each function on its own."""
    for function in video_reward_funcs(painter, judge, dimensions=NAMES, name="clip"):
        function(**ROWS, **logs.columns)
    names = ["light", "motion", "words", "overall"]
    assert sorted(logs.metrics) == sorted(["clip/failed", *(f"clip/{name}" for name in names)])
    assert all(len(told) == 1 for told in logs.metrics.values())
    assert all(len(told) == 3 for told in logs.extras.values())
    assert logs.extras["clip/words"] == [2.0, 2.0, 1.0]


def test_pickled_together_they_still_share(painter: Any, judge: Any) -> None:
    functions = video_reward_funcs(painter, judge, dimensions=NAMES)
    copies = pickle.loads(pickle.dumps(functions))
    assert [copy(**ROWS) for copy in copies] == [function(**ROWS) for function in functions]
    assert all(copy.shared is copies[0].shared for copy in copies)
    assert copies[0].shared.scorer.generator.made == ["b", "c", "b"]
    assert [copy.__name__ for copy in copies] == NAMES


def test_their_mean_is_the_reward_of_all_dimensions(tiny: Callable[[str], Any]) -> None:
    """A real pipeline under the bundled default."""
    wan, lite = tiny("wan"), VideoReward.from_pretrained()
    settings = {**wan.kwargs, "num_inference_steps": 1, "fps": 8}
    names = ["technical", "motion", "semantic"]
    rows = (["a cat"] * 2, ["a red cat", "a cat in snow"])
    found = [f(*rows) for f in video_reward_funcs(wan.pipe, lite, dimensions=names, **settings)]
    means = [sum(scores) / 3 for scores in zip(*found, strict=True)]
    together = VideoPromptReward(wan.pipe, lite, dimensions=names, **settings)
    assert together(*rows) == pytest.approx(means, abs=1e-5)


def test_what_is_refused(painter: Any, judge: Any, bright: Any) -> None:
    for dimensions in ("motion", [], ["motion", "light", "motion"]):
        with pytest.raises(ValueError, match=r"dimensions are .*; name each once, in a list"):
            video_reward_funcs(painter, judge, dimensions=dimensions)
    with pytest.raises(ValueError, match="leave weights out: TRL's reward_weights weigh the"):
        video_reward_funcs(painter, judge, dimensions=["motion"], weights={"motion": 1.0})
    with pytest.raises(ValueError, match="batch_size is 0 and cache 4096"):
        video_reward_funcs(painter, judge, dimensions=["motion"], batch_size=0)
    (unknown,) = video_reward_funcs(painter, judge, dimensions=["beauty"])
    with pytest.raises(ValueError, match="weights have 'beauty', which the reward does not"):
        unknown(**ROWS)
    alone = DimensionReward(VideoPromptReward(painter, bright), "beauty", logs=False)
    with pytest.raises(ValueError, match="does not return 'beauty'; it returned reward"):
        alone(**ROWS)

"""VideoPromptReward in TRL's calling convention: completion -> video -> score."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trl.trainer.utils import get_callable_name, is_async_callable

from aigv_reward import VideoReward
from aigv_reward.integrations.rewards import scores_of
from aigv_reward.integrations.trl import AsyncVideoPromptReward, VideoPromptReward
from aigv_reward.integrations.trl.prompt_reward import seed_of

PROMPTS = ["a cat", "a cat", "a dog", "a dog"]
COMPLETIONS = ["a red cat", "a cat in snow", "a red cat", "a fast dog"]


def chat(role: str, text: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "Rewrite."}, {"role": role, "content": text}]


def by_hand(reward: Any, frames: Tensor, prompt: str, **settings: Any) -> float:
    return float(scores_of(reward, frames[None].clamp(0, 1), [prompt], **settings).total)


def test_each_row_is_the_score_of_its_video(painter: Any, judge: Any, painted: Any) -> None:
    found = VideoPromptReward(painter, judge)(PROMPTS, COMPLETIONS)
    pairs = zip(PROMPTS, COMPLETIONS, strict=True)
    assert found == [by_hand(judge, painted(text, seed_of(p, 0)), p) for p, text in pairs]
    assert all(type(value) is float for value in found)
    assert len(set(found)) == 4  # the second red cat has the noise of the dog


def test_conversations_are_what_their_last_message_says(painter: Any, judge: Any) -> None:
    plain = VideoPromptReward(painter, judge)(PROMPTS, COMPLETIONS)
    asked = [chat("user", text) for text in PROMPTS]
    answers = [[{"role": "assistant", "content": text}] for text in COMPLETIONS]
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": t}]}] for t in COMPLETIONS]
    for completions in (answers, parts):
        assert VideoPromptReward(painter, judge)(asked, completions) == plain


@pytest.mark.parametrize("seed", [0, 3])
def test_completions_of_a_prompt_share_its_noise(painter: Any, judge: Any, seed: int) -> None:
    VideoPromptReward(painter, judge, seed=seed, batch_size=8)(PROMPTS, COMPLETIONS)
    ((_, seeds, _),) = painter.calls
    assert seeds[0] == seeds[1] != seeds[2] == seeds[3]
    digest = hashlib.sha256(f"{seed}\na cat".encode()).hexdigest()
    assert seeds[0] == int(digest[:8], 16) // 2 < 2**31


def test_the_column_seed_decides(painter: Any, judge: Any) -> None:
    reward = VideoPromptReward(painter, judge, batch_size=8)
    found = reward(["a"] * 3, ["b"] * 3, seed=[7, 8, 7])
    assert painter.calls == [(["b", "b"], [7, 8], {})]  # and is no column for the generator
    assert found[0] == found[2] != found[1]


def test_the_score_is_of_the_video_that_the_pipeline_makes(
    tiny: Callable[[str], Any], bright: Any
) -> None:
    wan = tiny("wan")
    kwargs = {**wan.kwargs, "num_inference_steps": 1}
    reward = VideoPromptReward(wan.pipe, bright, **kwargs)
    found = reward(["a cat"] * 3, ["a red cat", "a cat", "a red cat"], seed=[5, 5, 5])
    for text, score in zip(["a red cat", "a cat"], found, strict=False):
        generator = torch.Generator().manual_seed(5)
        made = wan.pipe(text, generator=generator, output_type="pt", **kwargs)
        assert score == by_hand(bright, made.frames[0], "a cat")
    assert found[0] == found[2] != found[1]


def test_batches_of_the_pipeline_score_as_one_by_one(tiny: Callable[[str], Any]) -> None:
    wan, lite = tiny("wan"), VideoReward.from_pretrained()
    kwargs = {**wan.kwargs, "num_inference_steps": 1}
    settings = {"fps": 8, **kwargs}
    one, many = (VideoPromptReward(wan.pipe, lite, batch_size=n, **settings) for n in (1, 3))
    rows = PROMPTS[:3], COMPLETIONS[:3]
    found = one(*rows)
    assert many(*rows) == pytest.approx(found, abs=1e-4)
    generator = torch.Generator().manual_seed(seed_of("a dog", 0))
    made = wan.pipe(COMPLETIONS[2], generator=generator, output_type="pt", **kwargs)
    with torch.no_grad():
        assert found[2] == by_hand(lite, made.frames[0].float(), "a dog", fps=8)


def test_equal_completions_and_later_calls_are_not_generated_again(
    painter: Any, judge: Any
) -> None:
    reward = VideoPromptReward(painter, judge)
    first = reward(["a"] * 4, ["b", "c", " b ", "b"])
    assert painter.made == ["b", "c"] and first[0] == first[2] == first[3]
    reward(["a"], ["d"])
    assert reward(["a", "a"], ["c", "b"]) == [first[1], first[0]]
    assert painter.made == ["b", "c", "d"]
    forgetful = VideoPromptReward(painter, judge, cache=0)
    for text in ("b", "d", "b"):
        forgetful(["a"], [text])
    assert painter.made == ["b", "c", "d", "b", "d", "b"]


def test_dimensions_are_a_mean_and_weights_a_sum(painter: Any, judge: Any, painted: Any) -> None:
    frames = painted("b", seed_of("a", 0))
    values = {name: float(v) for name, v in judge(frames[None], ["a"]).items()}
    mean = VideoPromptReward(painter, judge, dimensions=["light", "motion"])
    assert mean(["a"], ["b"]) == [pytest.approx((values["light"] + values["motion"]) / 2)]
    weighted = VideoPromptReward(painter, judge, weights={"motion": -2.0})
    assert weighted(["a"], ["b"]) == [pytest.approx(-2 * values["motion"])]


def test_it_is_what_trl_takes_for_a_function(painter: Any, judge: Any) -> None:
    reward = VideoPromptReward(painter, judge)
    waiting = AsyncVideoPromptReward(painter, judge, name="quality")
    assert not isinstance(reward, nn.Module) and callable(reward)
    assert get_callable_name(reward) == "video" and get_callable_name(waiting) == "quality"
    assert not is_async_callable(reward) and is_async_callable(waiting)


@pytest.mark.parametrize("kind", [VideoPromptReward, AsyncVideoPromptReward])
def test_a_copy_through_pickle_gives_the_same_scores(painter: Any, judge: Any, kind: Any) -> None:
    reward = kind(painter, judge, name="mine", seed=2, batch_size=2, columns={"look": "style"})
    copy = pickle.loads(pickle.dumps(reward))
    results = [one.results(PROMPTS, COMPLETIONS, {"look": [1] * 4}) for one in (reward, copy)]
    assert results[0] == results[1] and copy.__name__ == "mine"
    assert copy.scorer.generator.calls == painter.calls != []


def test_a_real_pipeline_survives_pickling(tiny: Callable[[str], Any], bright: Any) -> None:
    wan = tiny("wan")
    reward = VideoPromptReward(wan.pipe, bright, **wan.kwargs)
    copy = pickle.loads(pickle.dumps(reward))
    assert copy(["a cat"], ["a red cat"]) == reward(["a cat"], ["a red cat"])


def test_asynchronous_calls_run_beside_each_other(judge: Any, painter: Any) -> None:
    """Two rewards that wait for each other: neither ends unless both run at once."""
    both = threading.Barrier(2)

    def meeting(prompts: Any, *, seeds: Any) -> Any:
        both.wait(timeout=30)
        return painter(prompts, seeds=seeds)

    async def every() -> Any:
        rewards = [AsyncVideoPromptReward(meeting, judge) for _ in range(2)]
        return await asyncio.gather(*(r(prompts=["a"], completions=["b"]) for r in rewards))

    assert asyncio.run(every()) == [VideoPromptReward(painter, judge)(["a"], ["b"])] * 2


def test_asynchronous_calls_of_one_reward_take_turns(judge: Any, painter: Any) -> None:
    reward = AsyncVideoPromptReward(painter, judge)

    async def every() -> Any:
        return await asyncio.gather(*(reward(PROMPTS, COMPLETIONS) for _ in range(4)))

    found = asyncio.run(every())
    assert found == [VideoPromptReward(painter, judge)(PROMPTS, COMPLETIONS)] * 4
    assert painter.made == [*COMPLETIONS, *COMPLETIONS]

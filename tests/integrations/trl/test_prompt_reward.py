"""VideoPromptReward: completion -> video -> score, on generator functions and the tiny Wan."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from aigv_reward.integrations.trl import AsyncVideoPromptReward, VideoPromptReward
from aigv_reward.integrations.trl.prompt_reward import seed_of

SIZE = {"height": 32, "width": 48, "num_frames": 5, "num_inference_steps": 2}


class Painter:
    """A generator function: the brightness of a video is what its prompt ends with."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], list[int], dict[str, Any]]] = []

    def __call__(
        self, prompts: Sequence[str], *, seeds: Sequence[int], image: Any = None, style: str = ""
    ) -> Tensor:
        self.calls.append((list(prompts), list(seeds), {"image": image, "style": style}))
        if any("broken" in prompt for prompt in prompts):
            raise RuntimeError("no such video")
        levels = torch.tensor([float(prompt.split()[-1]) for prompt in prompts])
        return levels.view(-1, 1, 1, 1, 1).expand(-1, 4, 3, 8, 8)


def brightness(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    level = frames.mean(dim=(1, 2, 3, 4))
    return {"overall": level, "motion": 2 * level}


@pytest.fixture
def painter() -> Painter:
    return Painter()


@pytest.fixture
def wan(tiny: Callable[[str], Any]) -> Any:
    pipe = tiny("wan").pipe
    pipe.set_progress_bar_config(disable=True)
    return pipe


def mean_red(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    return frames[:, :, 0].mean(dim=(1, 2, 3))


def test_a_score_a_completion_plain_and_conversational(painter: Painter) -> None:
    reward = VideoPromptReward(painter, brightness)
    assert reward(["a", "a"], ["cat 0.25", "dog 0.5"]) == [0.25, 0.5]
    prompts = [[{"role": "user", "content": "a"}]] * 2
    completions = [[{"role": "assistant", "content": text}] for text in ("cat 0.25", "dog 0.5")]
    before = len(painter.calls)
    assert reward(prompts, completions) == [0.25, 0.5]
    assert len(painter.calls) == before  # the same texts: from the cache


def test_it_is_a_plain_callable_that_pickles(painter: Painter) -> None:
    reward = VideoPromptReward(painter, brightness, name="brightness")
    assert not isinstance(reward, nn.Module)
    assert reward.__name__ == "brightness"
    again = pickle.loads(pickle.dumps(reward))
    assert again(["a"], ["cat 0.25"]) == [0.25]
    assert again.__name__ == "brightness"


def test_a_pipeline_and_the_bundled_default_pickle(wan: Any) -> None:
    from aigv_reward import VideoReward

    reward = VideoPromptReward(wan, VideoReward.from_pretrained(), fps=8, **SIZE)
    expected = reward(["a cat"], ["a cat"])
    assert pickle.loads(pickle.dumps(reward))(["a cat"], ["a cat"]) == expected


def test_a_video_is_that_of_its_seed_alone(wan: Any) -> None:
    reward = VideoPromptReward(wan, mean_red, **SIZE)
    scores = reward(["a", "a", "b"], ["x cat", "x dog", "x cat"])
    for prompt, text, score in zip("aab", ["x cat", "x dog", "x cat"], scores, strict=True):
        generator = torch.Generator().manual_seed(seed_of(prompt, 0))
        frames = wan(text, generator=generator, output_type="pt", **SIZE).frames
        assert score == mean_red(frames, None).item()
    assert scores[0] != scores[2]  # another prompt, another noise
    other = VideoPromptReward(wan, mean_red, seed=1, **SIZE)
    assert other(["a"], ["x cat"])[0] != scores[0]


def test_the_seed_column_is_used(wan: Any) -> None:
    reward = VideoPromptReward(wan, mean_red, **SIZE)
    scores = reward(["a", "b"], ["cat", "cat"], seed=[7, 7])
    generator = torch.Generator().manual_seed(7)
    frames = wan("cat", generator=generator, output_type="pt", **SIZE).frames
    assert scores == [mean_red(frames, None).item()] * 2


def test_batches_score_what_single_videos_score(wan: Any) -> None:
    texts = ["cat", "dog", "bird", "fish"]
    one = VideoPromptReward(wan, mean_red, **SIZE)(["a"] * 4, texts)
    three = VideoPromptReward(wan, mean_red, batch_size=3, **SIZE)(["a"] * 4, texts)
    assert three == pytest.approx(one, abs=1e-5)


def test_equal_completions_are_generated_once(painter: Painter) -> None:
    reward = VideoPromptReward(painter, brightness, batch_size=8, cache=1)
    assert reward(["a"] * 4, ["x 0.25", "x 0.5", "x 0.25", " x 0.5 "]) == [0.25, 0.5, 0.25, 0.5]
    assert [call[0] for call in painter.calls] == [["x 0.25", "x 0.5"]]
    reward(["a"], ["x 0.75"])
    reward(["a"], ["x 0.75"])
    reward(["a"], ["x 0.25"])  # was pushed out of the cache of one
    assert [call[0] for call in painter.calls[1:]] == [["x 0.75"], ["x 0.25"]]


def test_columns_reach_the_generator(painter: Painter) -> None:
    image = Image.new("RGB", (8, 8), "red")
    reward = VideoPromptReward(painter, brightness, batch_size=4, columns={"look": "style"})
    columns = {"image": [image] * 2 + [None], "look": ["oil", "ink", "ink"], "answer": [1, 2, 3]}
    reward(["a"] * 3, ["x 0.25", "x 0.25", "y 0.5"], **columns)
    assert [(c[0], c[2]) for c in painter.calls] == [
        (["x 0.25"], {"image": image, "style": "oil"}),
        (["x 0.25"], {"image": image, "style": "ink"}),
        (["y 0.5"], {"image": None, "style": "ink"}),
    ]


def test_columns_reach_the_pipeline(wan: Any) -> None:
    reward = VideoPromptReward(wan, mean_red, batch_size=2, guidance_scale=3.0, **SIZE)
    plain = reward(["a", "a"], ["cat", "dog"], seed=[0, 0])
    negative = reward(["a", "a"], ["cat", "dog"], seed=[0, 0], negative_prompt=["blue"] * 2)
    assert all(x != y for x, y in zip(plain, negative, strict=True))


def test_what_the_reward_reads(painter: Painter) -> None:
    read: list[str] = []

    def reads(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        read.extend(prompts)
        assert fps == 16
        return frames.mean(dim=(1, 2, 3, 4))

    for judged_by in ("prompt", "completion", "caption"):
        reward = VideoPromptReward(painter, reads, judged_by=judged_by, fps=16)
        reward(["a cat"], ["x 0.5"], caption=["the caption"])
    assert read == ["a cat", "x 0.5", "the caption"]
    with pytest.raises(ValueError, match="no column 'title'; there are caption"):
        VideoPromptReward(painter, reads, judged_by="title")(["a"], ["x 0.5"], caption=["c"])


def test_a_row_that_fails_is_none(painter: Painter, caplog: pytest.LogCaptureFixture) -> None:
    reward = VideoPromptReward(painter, brightness, batch_size=3)
    assert reward(["a"] * 3, ["x 0.25", "broken", "x 0.5"]) == [0.25, None, 0.5]
    assert "no score for the prompt 'broken'" in caplog.text
    with pytest.raises(RuntimeError, match="no such video"):
        reward(["a"] * 2, ["broken", "broken 2"])


def test_a_score_that_is_not_finite_is_none(painter: Painter) -> None:
    def reward(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4)).sub(0.5).log()

    scores = VideoPromptReward(painter, reward)(["a"] * 2, ["x 0.25", "x 0.75"])
    assert scores == [None, pytest.approx(-1.386, abs=1e-3)]


def test_where_none_counts_as_zero_a_failure_raises(painter: Painter) -> None:
    reward = VideoPromptReward(painter, brightness)
    with pytest.raises(RuntimeError, match="this trainer counts a missing one as 0"):
        reward(["a"] * 2, ["x 0.25", "broken"], trainer_state=object())


def test_parse_may_find_no_prompt(painter: Painter) -> None:
    def parse(text: str) -> str | None:
        return text.partition("PROMPT:")[2] or None

    reward = VideoPromptReward(painter, brightness, parse=parse)
    assert reward(["a"] * 2, ["hm PROMPT: x 0.5", "hm"]) == [0.5, None]
    assert painter.calls[0][0] == [" x 0.5"]


def test_what_is_logged(painter: Painter) -> None:
    metrics: dict[str, float] = {}
    extra: dict[str, list[Any]] = {}
    reward = VideoPromptReward(painter, brightness, name="light")
    reward(
        ["a"] * 4, ["x 0.25", "broken", "x 0.5", "x 0.25"], trainer_state=object(),
        log_metric=metrics.__setitem__, log_extra=extra.__setitem__,
    )  # fmt: skip
    assert metrics == {
        "light/failed": 0.25,
        "light/overall": pytest.approx(1 / 3),
        "light/motion": pytest.approx(2 / 3),
    }
    assert extra["light/motion"] == [0.5, None, 1.0, 0.5]


def test_dimensions_and_weights(painter: Painter) -> None:
    mean = VideoPromptReward(painter, brightness, dimensions=["overall", "motion"])
    assert mean(["a"], ["x 0.5"]) == [0.75]
    weighted = VideoPromptReward(painter, brightness, weights={"motion": 2.0})
    assert weighted(["a"], ["x 0.5"]) == [2.0]


def test_asynchronous_functions_are_awaited_together(painter: Painter) -> None:
    first = AsyncVideoPromptReward(painter, brightness)
    second = AsyncVideoPromptReward(painter, brightness, weights={"motion": 1.0})

    async def both() -> list[Any]:
        return list(await asyncio.gather(first(["a"], ["x 0.5"]), second(["a"], ["x 0.5"])))

    assert asyncio.run(both()) == [[0.5], [1.0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0 and cache 4096"),
        ({"cache": -1}, "batch_size is 1 and cache -1"),
        ({"dimensions": [], "weights": None}, "dimensions are \\[\\]; name at least one"),
        ({"dimensions": ["motion"], "weights": {"motion": 1.0}}, "dimensions or weights, not both"),
        ({"height": 8}, "takes no 'height' from here; it takes image, style"),
        ({"seeds": 8}, "takes no 'seeds' from here"),
    ],
)
def test_what_is_refused(painter: Painter, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoPromptReward(painter, brightness, **settings)


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        (torch.zeros(4, 3, 8, 8), r"a tensor \(4, 3, 8, 8\); return \(B, T, 3, H, W\)"),
        (torch.zeros(2, 4, 3, 8, 8), "returned 2 videos for 1 prompts"),
        ([torch.zeros(3, 8, 8)], r"a video \(3, 8, 8\)"),
        (torch.zeros(1, 4, 3, 8, 8, dtype=torch.uint8), "returned torch.uint8; return floats"),
        (None, "returned NoneType for 1 prompts"),
    ],
)
def test_generators_that_return_something_else(videos: Any, message: str) -> None:
    def generator(prompts: Sequence[str], *, seeds: Sequence[int]) -> Any:
        return videos

    with pytest.raises(ValueError, match=message):
        VideoPromptReward(generator, brightness)(["a"], ["b"])

"""Columns of the data set that reach the generator and the reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from aigv_reward.integrations.trl import VideoPromptReward


def told(frames: Tensor, prompts: Sequence[str | None] | None, *, fps: Any = None) -> Tensor:
    """The number in the text that the reward reads."""
    assert prompts is not None
    return torch.tensor([float(str(text).split()[-1]) for text in prompts])


def test_every_column_reaches_a_generator_that_takes_any(
    painter: Any, judge: Any, logs: Any
) -> None:
    reward = VideoPromptReward(painter, judge, columns={"look": "style"}, steps=3)
    columns = {"look": ["oil", "ink"], "size": [8, 9], "seed": [1, 2]}
    reward(
        prompts=["a", "a"], completions=["b", "c"], completion_ids=[[1], [2]],
        environments=[None, None], **columns, **logs.columns,
    )  # fmt: skip
    assert painter.calls == [
        (["b"], [1], {"style": "oil", "size": 8, "steps": 3}),
        (["c"], [2], {"style": "ink", "size": 9, "steps": 3}),
    ]


def test_named_columns_reach_a_generator_that_names_them(painted: Any, judge: Any) -> None:
    seen: list[Any] = []

    def strict(prompts: Any, *, seeds: Any, size: int = 1, style: str = "") -> list[Tensor]:
        seen.append((size, style))
        return [painted(text, seed) for text, seed in zip(prompts, seeds, strict=True)]

    reward = VideoPromptReward(strict, judge, columns={"look": "style"})
    reward(["a", "a"], ["b", "c"], size=[8, 9], look=["oil", "ink"], answer=[1, 2])
    assert seen == [(8, "oil"), (9, "ink")]


def test_columns_of_the_pipeline_are_its_arguments(tiny: Callable[[str], Any], bright: Any) -> None:
    """Two rows of a batch with one negative prompt, a third with another, and a mapped size."""
    wan = tiny("wan")
    kwargs = {**wan.kwargs, "num_inference_steps": 1}
    reward = VideoPromptReward(
        wan.pipe, bright, batch_size=3, columns={"length": "num_frames"}, **kwargs
    )
    negatives, texts = ["blurry, dark", "blurry, dark", "text"], ["a red cat", "a cat", "a cat"]
    found = reward(
        ["a cat"] * 3, texts, negative_prompt=negatives, length=[5, 5, 5], seed=[3, 3, 3],
        answer=["x", "y", "z"],
    )  # fmt: skip
    for text, negative, score in zip(texts, negatives, found, strict=True):
        made = wan.pipe(
            text, negative_prompt=negative, generator=torch.Generator().manual_seed(3),
            output_type="pt", **{**kwargs, "num_frames": 5},
        ).frames  # fmt: skip
        assert made.shape[1] == 5
        assert score == pytest.approx(float(bright(made.clamp(0, 1), [text])), abs=1e-6)
    assert found[1] != pytest.approx(found[2], abs=1e-6)


@pytest.mark.parametrize("name", ["wan", "animatediff"])
def test_a_negative_prompt_for_every_call(
    tiny: Callable[[str], Any], bright: Any, name: str
) -> None:
    """AnimateDiff, unlike Wan, takes no text beside a list of prompts."""
    made = tiny(name)
    kwargs = {**made.kwargs, "num_inference_steps": 1, "batch_size": 2}
    for_all = VideoPromptReward(made.pipe, bright, negative_prompt="blurry", **kwargs)
    in_rows = VideoPromptReward(made.pipe, bright, **kwargs)
    rows = (["a cat"] * 2, ["a red cat", "a dog"])
    assert for_all(*rows) == in_rows(*rows, negative_prompt=["blurry"] * 2) != in_rows(*rows)


@pytest.mark.parametrize(
    ("judged_by", "expected"), [("prompt", [1, 1]), ("completion", [2, 3]), ("caption", [4, 5])]
)
def test_what_the_reward_reads(painter: Any, judged_by: str, expected: list[float]) -> None:
    reward = VideoPromptReward(painter, told, judged_by=judged_by)
    captions = ["said 4", [{"role": "user", "content": "said 5"}]]
    assert reward(["asked 1"] * 2, ["wrote 2", "wrote 3"], caption=captions) == expected
    assert ("caption" in painter.calls[0][2]) is (judged_by != "caption")


def test_the_completion_is_read_as_it_is_parsed(painter: Any) -> None:
    def last_line(text: str) -> str | None:
        return text.split("PROMPT:")[1].strip() if "PROMPT:" in text else None

    reward = VideoPromptReward(painter, told, judged_by="completion", parse=last_line)
    found = reward(["a"] * 3, ["hm, 9 PROMPT: cat 2", "hm, 9", "so PROMPT: cat 2"])
    assert found == [2.0, None, 2.0] and painter.made == ["cat 2"]


def test_the_rate_of_the_pipeline_is_told(tiny: Callable[[str], Any]) -> None:
    """LTX is conditioned on a rate; it and the reward get the same one."""
    rates: list[Any] = []

    def spy(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        rates.append(fps)
        return frames.mean(dim=(1, 2, 3, 4))

    ltx, wan = tiny("ltx"), tiny("wan")
    for fps in (None, 12.0):
        reward = VideoPromptReward(ltx.pipe, spy, fps=fps, **ltx.kwargs)
        reward(["a cat"], ["a red cat"])
    assert reward.scorer.arguments["frame_rate"] == 12.0
    VideoPromptReward(wan.pipe, spy, **wan.kwargs)(["a"], ["b"])
    assert rates == [25, 12.0, None]


def test_generator_and_columns_that_do_not_fit(painter: Any, judge: Any, tiny: Any) -> None:
    def plain(prompts: Any, *, seeds: Any) -> Any:
        raise AssertionError("never called")

    with pytest.raises(ValueError, match="takes no 'steps' from here; it takes nothing else"):
        VideoPromptReward(plain, judge, steps=3)
    wan = tiny("wan")
    for argument in ("output_type", "return_dict", "latents", "num_videos_per_prompt", "sizes"):
        message = f"takes no '{argument}' from here; it takes .*, height, .*num_frames"
        with pytest.raises(ValueError, match=message):
            VideoPromptReward(wan.pipe, judge, **{argument: 1})
    reward = VideoPromptReward(painter, judge, columns={"look": "style"}, judged_by="caption")
    with pytest.raises(ValueError, match=r"no column 'caption'; there are size. TRL drops columns"):
        reward(["a"], ["b"], size=[1])
    with pytest.raises(ValueError, match=r"no column 'look'; there are caption, size. TRL drops"):
        reward(["a"], ["b"], caption=["c"], size=[1])
    with pytest.raises(ValueError, match="column 'seed' is not a list of 1, one cell a completion"):
        VideoPromptReward(painter, judge)(["a"], ["b"], seed=[1, 2])
    with pytest.raises(ValueError, match="there are 1 prompts and 2 completions; TRL repeats"):
        VideoPromptReward(painter, judge)(["a"], ["b", "c"])
    assert painter.calls == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0 and cache 4096; they must be at least 1 and 0"),
        ({"cache": -1}, "batch_size is 1 and cache -1; they must be at least 1 and 0"),
        (
            {"dimensions": ["light"], "weights": {"light": 1.0}},
            "give dimensions or weights, not both",
        ),
        ({"dimensions": []}, r"dimensions are \[\]; name at least one, in a list"),
        ({"dimensions": "light"}, "dimensions are 'light'; name at least one, in a list"),
    ],
)
def test_settings_that_are_refused(painter: Any, judge: Any, settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoPromptReward(painter, judge, **settings)


def test_an_image_column_reaches_a_pipeline_that_animates_it(tiny: Callable[[str], Any]) -> None:
    """Under a name of its own, since TRL shows `image` to its policy."""
    made = tiny("wan_i2v")
    made.pipe.set_progress_bar_config(disable=True)
    settings = dict(made.kwargs)
    size = settings.pop("image").size
    settings.pop("prompt", None)

    def mean(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4))

    reward = VideoPromptReward(
        made.pipe, mean, batch_size=2, columns={"first_frame": "image"}, **settings
    )
    red, blue = Image.new("RGB", size, "red"), Image.new("RGB", size, "blue")
    scores = reward(["a"] * 3, ["cat"] * 3, first_frame=[red, blue, red])
    assert scores[0] == scores[2] != scores[1]


def test_columns_called_like_what_is_made_here_stay_out() -> None:
    seen: list[dict[str, Any]] = []

    def generator(prompts: list[str], *, seeds: list[int], **columns: Any) -> Tensor:
        seen.append(columns)
        return torch.zeros(len(prompts), 2, 3, 4, 4)

    def mean(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4))

    VideoPromptReward(generator, mean)(["a"], ["b"], seeds=[3], latents=[4], style=["ink"])
    assert seen == [{"style": "ink"}]
    with pytest.raises(ValueError, match="takes no 'seeds' from here; it takes anything else"):
        VideoPromptReward(generator, mean, seeds=3)

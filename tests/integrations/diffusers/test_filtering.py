"""Judging videos, and giving up hopeless ones, on real pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward import FilterRules, VideoReward
from aigv_reward.integrations.diffusers import RewardFilter

Build = Callable[[str], Any]
NAMES = (
    "wan", "wan_unipc", "cogvideox", "cogvideox_dpm", "ltx", "hunyuan_video", "hunyuan_video_15",
    "mochi", "animatediff", "text_to_video_sd",
)  # fmt: skip
WITH_INTERRUPT = ("wan", "cogvideox_dpm", "hunyuan_video", "mochi", "animatediff")
NOBODY = FilterRules(minimum={"warmth": 9.0})
ANYBODY = FilterRules(minimum={"warmth": -9.0})


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    return {"warmth": (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))}


def call(made: Any, seed: int = 0, **more: Any) -> Any:
    generator = torch.Generator().manual_seed(seed)
    given = {"prompt": "a cat", "output_type": "pt", "generator": generator}
    return made.pipe(**made.kwargs, **(given | more))


@pytest.mark.parametrize("name", NAMES)
def test_a_hopeless_candidate_is_given_up_and_the_pipeline_left_as_it_was(
    tiny: Build, name: str
) -> None:
    made = tiny(name)
    plain = call(made).frames
    with RewardFilter(made.pipe, warmth, NOBODY, looks=[0.5]) as keep:
        assert call(made) is None
    assert torch.equal(call(made).frames, plain)
    steps = keep.looks[0].num_steps
    assert steps is not None
    assert keep.rejected and keep.interrupted == 1 and len(keep.looks) == 1
    assert keep.looks[0].step == (steps + 1) // 2 - 1
    assert keep.steps_saved == steps - (steps + 1) // 2 and keep.steps_run == (steps + 1) // 2
    assert keep.looks[0].reasons[0].startswith("warmth ")


@pytest.mark.parametrize("name", NAMES)
def test_a_good_candidate_is_not_touched(tiny: Build, name: str) -> None:
    made = tiny(name)
    plain = call(made).frames
    with RewardFilter(made.pipe, warmth, ANYBODY, looks=[0.25, 0.75]) as keep:
        assert torch.equal(call(made).frames, plain)
        (last,) = keep.judge(plain, ["a cat"])
    assert [look.kept for look in keep.looks] == [True] * 3
    assert keep.interrupted == keep.steps_saved == 0 and not keep.rejected
    assert last.step is None and last.scores["warmth"] == pytest.approx(
        float(warmth(plain, None)["warmth"][0]), abs=1e-6
    )


def test_it_looks_at_the_clean_video_that_the_model_predicts(tiny: Build) -> None:
    """At the last step that is the video itself."""
    made = tiny("wan")
    plain = call(made).frames
    with RewardFilter(made.pipe, warmth, ANYBODY, looks=[0.99]) as keep:
        call(made)
    seen = keep.looks[0].scores["warmth"]
    assert seen == pytest.approx(float(warmth(plain, None)["warmth"][0]), abs=1e-5)


def test_one_good_candidate_keeps_its_batch(tiny: Build) -> None:
    made = tiny("wan")
    seeds = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    with RewardFilter(made.pipe, warmth, ANYBODY, looks=[0.5]) as keep:
        call(made, prompt=["a cat"] * 2, generator=seeds)
    low, high = sorted(look.scores["warmth"] for look in keep.looks)
    between = FilterRules(minimum={"warmth": (low + high) / 2})
    seeds = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    with RewardFilter(made.pipe, warmth, between, looks=[0.5]) as keep:
        out = call(made, prompt=["a cat"] * 2, generator=seeds)
    assert out is not None and sorted(look.kept for look in keep.looks) == [False, True]


def test_it_raises_the_mean_reward_of_what_is_finished(tiny: Build) -> None:
    """Early scores order the finished ones, so that giving up the lower half raises the mean."""
    made = tiny("ltx")
    plain, early = [], []
    with RewardFilter(made.pipe, warmth, ANYBODY, looks=[0.5]) as watch:
        for seed in range(16):
            frames = call(made, seed).frames
            plain.append(float(warmth(frames, None)["warmth"][0]))
            early.append(watch.looks[-1].scores["warmth"])
    half = FilterRules(minimum_percentile={"warmth": 50}).resolve_among({"warmth": early})
    kept = []
    with RewardFilter(made.pipe, warmth, half, looks=[0.5]) as keep:
        for seed in range(16):
            out = call(made, seed)
            kept += [] if out is None else [float(warmth(out.frames, None)["warmth"][0])]
    assert keep.interrupted == 8 and len(kept) == 8
    assert sum(kept) / 8 > sum(plain) / 16


def test_with_the_bundled_default(tiny: Build) -> None:
    made = tiny("wan")
    reward = VideoReward.from_pretrained()
    rules = FilterRules(minimum={"technical": 5.1})
    with RewardFilter(made.pipe, reward, rules, looks=[0.5], fps=16) as keep:
        assert call(made) is None
    assert set(keep.looks[0].scores) == {"technical", "motion", "semantic", "overall"}


@pytest.mark.parametrize("name", WITH_INTERRUPT)
def test_as_a_callback_it_skips_the_steps_that_remain(tiny: Build, name: str) -> None:
    made = tiny(name)
    plain = call(made).frames
    classes = type(made.pipe), type(made.pipe.scheduler)
    keep = RewardFilter(made.pipe, warmth, NOBODY, looks=[0.5], prompts=["a cat"])
    out = call(made, callback_on_step_end=keep)
    assert out.frames.shape == plain.shape and not torch.equal(out.frames, plain)
    assert keep.rejected and keep.interrupted == 1 and keep.steps_saved >= 1
    assert (type(made.pipe), type(made.pipe.scheduler)) == classes
    assert torch.equal(call(made).frames, plain)
    good = RewardFilter(made.pipe, warmth, ANYBODY, looks=[0.5])
    assert torch.equal(call(made, callback_on_step_end=good).frames, plain)
    assert not good.rejected and len(good.looks) == 1
    assert (type(made.pipe), type(made.pipe.scheduler)) == classes


def test_a_callback_whose_run_died_lets_go_at_the_next_run(tiny: Build) -> None:
    made = tiny("wan")
    plain = call(made).frames
    classes = type(made.pipe), type(made.pipe.scheduler)

    def broken(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        raise RuntimeError("reward is broken")

    keep = RewardFilter(made.pipe, broken, NOBODY, looks=[0.75])
    with pytest.raises(RuntimeError, match="reward is broken"):
        call(made, callback_on_step_end=keep)
    assert torch.equal(call(made).frames, plain)
    assert (type(made.pipe), type(made.pipe.scheduler)) == classes


def test_what_is_refused(tiny: Build) -> None:
    made, other = tiny("wan"), tiny("wan")
    for looks in ([], [0.0], [1.0], [0.5, 1.5]):
        with pytest.raises(ValueError, match="give shares of the steps between 0 and 1"):
            RewardFilter(made.pipe, warmth, ANYBODY, looks=looks)
    with pytest.raises(ValueError, match="made for another pipeline"):
        call(other, callback_on_step_end=RewardFilter(made.pipe, warmth, ANYBODY))
    old = tiny("hunyuan_video_15")
    keep = RewardFilter(old.pipe, warmth, ANYBODY)
    if not hasattr(type(old.pipe), "interrupt"):
        with pytest.raises(ValueError, match="cannot be interrupted by a callback"):
            keep(old.pipe, 0, None, {})
    with (
        pytest.raises(ValueError, match="'other'"),
        RewardFilter(made.pipe, warmth, FilterRules(minimum={"other": 1.0})),
    ):
        call(made)

"""Steering on real pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.diffusers import Steered, best_of_n, steer

Build = Callable[[str], Any]
NAMES = (
    "wan", "wan_unipc", "cogvideox", "cogvideox_dpm", "ltx", "hunyuan_video", "hunyuan_video_15",
    "mochi", "animatediff", "animatediff_euler", "text_to_video_sd",
)  # fmt: skip


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    return (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))


def steered(made: Any, seed: int = 0, **more: Any) -> Steered:
    given = {"particles": 3, "strength": 2000.0} | made.kwargs
    return steer(made.pipe, warmth, "a cat", seed=seed, **(given | more))


def plain(made: Any, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    frames: Tensor = made.pipe("a cat", generator=generator, output_type="pt", **made.kwargs).frames
    return frames


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_again_alike_and_leaves_the_pipeline_as_it_was(tiny: Build, name: str) -> None:
    made = tiny(name)
    before = plain(made)
    classes = type(made.pipe), type(made.pipe.scheduler)
    first = steered(made)
    torch.manual_seed(123)
    again = steered(made)
    assert torch.equal(first.frames, again.frames) and first.order == again.order
    assert any(look.ancestors is not None for look in first.looks)
    assert len(first.total.unique()) == 3  # copies have parted
    assert (type(made.pipe), type(made.pipe.scheduler)) == classes
    assert torch.equal(plain(made), before)


@pytest.mark.parametrize("name", ["wan", "wan_unipc", "cogvideox"])
def test_best_of_n_is_its_special_case(tiny: Build, name: str) -> None:
    made = tiny(name)
    best = best_of_n(
        made.pipe, warmth, "a cat", 3, seed=5, batch_size=3, keep=2, progress=False, **made.kwargs
    )
    same = steered(made, 5, looks=(), noise_level=0.0, keep=2)
    assert torch.equal(best.frames, same.frames)
    assert best.order == same.order and best.seeds == same.seeds
    assert torch.equal(best.total, same.total) and same.looks == []


def test_one_resample_at_the_end_is_a_choice_among_the_same_candidates(tiny: Build) -> None:
    """Looking at the last step, greedily, every particle becomes the best candidate."""
    made = tiny("wan")
    best = best_of_n(
        made.pipe, warmth, "a cat", 3, seed=5, batch_size=3, progress=False, **made.kwargs
    )
    last = steered(made, 5, looks=(0.99,), noise_level=0.0, strength=1e9, keep=3)
    assert last.looks[0].ancestors == [best.order[0]] * 3
    for frames in last.frames:
        torch.testing.assert_close(frames, best.frames[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("potential", ["difference", "max", "sum"])
def test_it_raises_the_reward_over_plain_sampling(tiny: Build, potential: Any) -> None:
    """The mean of all particles against that of as many plain candidates, many seeds."""
    made = tiny("wan")
    wins = 0
    for seed in range(0, 32, 4):
        best = best_of_n(
            made.pipe, warmth, "a cat", 4, seed=seed, batch_size=4, progress=False, **made.kwargs
        )
        particles = steered(made, seed, potential=potential, particles=4, noise_level=0.3)
        wins += float(particles.total.mean()) > float(best.total.mean())
    assert binomtest(wins, 8, alternative="greater").pvalue < 0.05


def test_with_the_bundled_default(tiny: Build) -> None:
    made = tiny("wan")
    reward = VideoReward.from_pretrained()
    wins = 0
    for seed in range(0, 18, 3):
        given: dict[str, Any] = {"seed": seed, "fps": 16.0, **made.kwargs}
        one = steer(
            made.pipe, reward, "a cat", particles=3, strength=500.0, looks=(0.5, 0.99),
            noise_level=0.1, **given,
        )  # fmt: skip
        other = best_of_n(made.pipe, reward, "a cat", 3, batch_size=3, progress=False, **given)
        wins += float(one.total.mean()) > float(other.total.mean())
    assert binomtest(wins, 6, alternative="greater").pvalue < 0.05
    assert set(one.scores) >= {"technical", "motion", "semantic", "overall"}


@pytest.mark.parametrize("sampler", ["flow_sde", "dance_sde", "cps", "ddim"])
def test_samplers_keep_the_look_of_the_videos(tiny: Build, sampler: Any) -> None:
    made = tiny("wan")
    video = steered(made, looks=(), sampler=sampler, keep=3).frames
    usual = torch.cat([plain(made, seed) for seed in range(3)])
    assert float(video.std()) == pytest.approx(float(usual.std()), rel=0.2)
    assert not torch.allclose(video[0], usual[0], atol=1e-2)


def test_weights_of_skipped_resamples_are_kept(tiny: Build) -> None:
    made = tiny("wan")
    never = steered(made, ess_threshold=0.0, strength=100.0)
    assert [look.ancestors for look in never.looks] == [None] * 3
    last = never.looks[-1]
    weights = (100.0 * last.rewards.double()).softmax(0)  # the differences telescope
    assert last.ess == pytest.approx(float(1 / weights.square().sum()), rel=1e-5)
    always = steered(made, ess_threshold=1.0, strength=100.0)
    assert all(look.ancestors is not None for look in always.looks)


@pytest.mark.parametrize("error", [ValueError("no score"), KeyboardInterrupt()])
def test_a_failing_reward_is_an_error_and_restores(tiny: Build, error: BaseException) -> None:
    made = tiny("wan_unipc")
    before = plain(made)

    def broken(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        raise error

    expected = RuntimeError if isinstance(error, ValueError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        steer(made.pipe, broken, "a cat", seed=0, particles=2, **made.kwargs)
    if expected is RuntimeError:
        assert "the reward of particle 0 failed at step 0: no score" in str(caught.value)
    assert torch.equal(plain(made), before)


def test_what_is_refused(tiny: Build) -> None:
    made = tiny("wan")
    for settings, message in (
        ({"particles": 0}, "particles is 0; it must be at least 1"),
        ({"looks": (0.5, 1.0)}, "give shares of the steps between 0 and 1"),
        ({"ess_threshold": 2.0}, r"ess_threshold is 2\.0; it must be in \[0, 1\]"),
        ({"sampler": "ode"}, "unknown sampler 'ode'; choose auto, own"),
        ({"strength": 0.0}, r"strength is 0\.0; it must be above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            steered(made, **settings)  # type: ignore[arg-type]
    made.pipe.scheduler.__class__ = type(
        "OtherScheduler", (type(tiny("wan_unipc").pipe.scheduler),), {}
    )
    made.pipe.scheduler.model_outputs = []
    with pytest.raises(ValueError, match="OtherScheduler remembers steps in a way that is not"):
        steered(made)
    other = tiny("wan")
    other.pipe.__class__ = type("LTX2Pipeline", (type(other.pipe),), {})
    with pytest.raises(ValueError, match="LTX2Pipeline makes sound beside the video"):
        steered(other)

"""Steering on real pipelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchLCMScheduler,
)
from scipy.stats import binomtest, wilcoxon
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


def failing_after(calls: int) -> Any:
    """`warmth`, which fails after so many videos."""
    left = [calls]

    def reward(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        left[0] -= 1
        if left[0] < 0:
            raise ValueError("no score")
        return warmth(frames, prompts)

    return reward


def steered(made: Any, seed: int = 0, **more: Any) -> Steered:
    given = {"particles": 3, "strength": 2000.0, "progress": False} | made.kwargs
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
    with pytest.raises(RuntimeError, match=f"particle 0 failed at step {first.looks[1].step}: no"):
        steer(made.pipe, failing_after(3), "a cat", seed=0, particles=3, progress=False,
              **made.kwargs)  # fmt: skip
    assert (type(made.pipe), type(made.pipe.scheduler)) == classes
    assert torch.equal(plain(made), before)


def sde_solver(_: Any) -> Any:
    return DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver++",
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=3.0,
    )


@pytest.mark.parametrize(
    "name, scheduler",
    [
        ("wan", sde_solver),
        ("wan", lambda _: FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=True)),
        ("wan", lambda _: FlowMatchLCMScheduler()),
        ("text_to_video_sd", lambda old: DDPMScheduler.from_config(old.config)),
    ],
)
def test_a_schedulers_own_noise_is_the_particles(tiny: Build, name: str, scheduler: Any) -> None:
    """Wan's loop gives the step no generator, TextToVideoSD's one a video for a row a frame."""
    made = tiny(name)
    made.pipe.scheduler = scheduler(made.pipe.scheduler)
    step = type(made.pipe.scheduler).step
    first = steered(made, ess_threshold=1.0, looks=(0.5,))
    torch.manual_seed(123)
    assert torch.equal(steered(made, ess_threshold=1.0, looks=(0.5,)).frames, first.frames)
    assert len(first.total.unique()) == 3
    assert type(made.pipe.scheduler).step is step


def test_the_reward_is_told_the_same_rate_at_looks_and_at_the_end(tiny: Build) -> None:
    made = tiny("ltx")
    rates = []

    def reward(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        rates.append(fps)
        return warmth(frames, prompts)

    given: dict[str, Any] = {"seed": 0, "particles": 2, "looks": (0.5,), "progress": False}
    steer(made.pipe, reward, "a cat", **given, **made.kwargs)
    assert rates == [25] * 4
    steer(made.pipe, reward, "a cat", fps=12.0, **given, **made.kwargs)
    assert rates[4:] == [12.0] * 4


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


def test_it_raises_the_reward_over_plain_sampling(tiny: Build) -> None:
    """The mean of all particles against that of as many plain candidates, many seeds.

    By differences, on every pipeline: test_gains.py.
    """
    made = tiny("ltx")
    given: dict[str, Any] = {"noise_level": 0.3, "particles": 4}
    wins = {"max": 0, "sum": 0}
    seeds = range(0, 24, 4)
    for seed in seeds:
        best = best_of_n(
            made.pipe, warmth, "a cat", 4, seed=seed, batch_size=4, progress=False, **made.kwargs
        )
        for potential in wins:
            particles = steered(made, seed, potential=potential, **given)
            wins[potential] += float(particles.total.mean()) > float(best.total.mean())
    for won in wins.values():
        assert binomtest(won, len(seeds), alternative="greater").pvalue < 0.05


def test_with_the_bundled_default(tiny: Build, light_checkpoint: Path) -> None:
    made = tiny("ltx")
    reward = VideoReward.from_pretrained(light_checkpoint)
    gains = []
    for seed in range(0, 18, 3):
        given: dict[str, Any] = {"seed": seed, "fps": 16.0, "progress": False}
        given |= made.kwargs
        one = steer(
            made.pipe, reward, "a cat", particles=3, strength=500.0, looks=(0.5, 0.99),
            noise_level=0.1, **given,
        )  # fmt: skip
        other = best_of_n(made.pipe, reward, "a cat", 3, batch_size=3, **given)
        gains.append(float(one.total.mean()) - float(other.total.mean()))
    assert wilcoxon(gains, alternative="greater").pvalue < 0.05
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


def test_an_interrupt_restores(tiny: Build) -> None:
    made = tiny("wan_unipc")
    before = plain(made)

    def broken(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        steer(made.pipe, broken, "a cat", seed=0, particles=2, progress=False, **made.kwargs)
    assert torch.equal(plain(made), before)


def test_a_reward_that_is_not_finite_is_an_error(tiny: Build) -> None:
    made = tiny("wan")

    def broken(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return warmth(frames, prompts) * float("nan")

    with pytest.raises(RuntimeError, match=r"particle 0 failed at step 0: .*not finite"):
        steer(made.pipe, broken, "a cat", seed=0, particles=2, progress=False, **made.kwargs)


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

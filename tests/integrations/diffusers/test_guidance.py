"""Guidance by a reward's gradient, on real pipelines."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.diffusers import RewardGuidance, decode_latents
from aigv_reward.integrations.diffusers.reward_gradient import clipped_change
from aigv_reward.integrations.diffusers.sampling_run import Hook, Step, hooked

Build = Callable[[str], Any]
NAMES = (
    "wan", "wan_unipc", "wan_i2v", "cogvideox", "cogvideox_dpm", "cogvideox_15", "ltx",
    "hunyuan_video", "hunyuan_video_15", "mochi", "animatediff", "animatediff_euler",
    "text_to_video_sd",
)  # fmt: skip


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    return (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))


def call(made: Any, seed: int = 0, **more: Any) -> Any:
    generator = torch.Generator().manual_seed(seed)
    given = {"prompt": "a cat", "output_type": "pt", "generator": generator}
    return made.pipe(**made.kwargs, **(given | more)).frames


def gains(made: Any, reward: Any, seeds: range, **settings: Any) -> list[float]:
    """What guidance adds to the reward of each seed, at equal steps."""
    result = []
    for seed in seeds:
        with torch.no_grad():
            plain = reward(call(made, seed), ["a cat"], fps=16)
            with RewardGuidance(made.pipe, reward, fps=16, **settings):
                guided = call(made, seed)
            result.append(float(reward(guided, ["a cat"], fps=16) - plain))
    return result


@pytest.mark.parametrize("through", ["latents", "denoiser"])
@pytest.mark.parametrize("name", NAMES)
def test_it_raises_the_reward_and_leaves_the_pipeline_as_it_was(
    tiny: Build, name: str, through: str
) -> None:
    made = tiny(name)
    plain = call(made, 0)
    flags = [p.requires_grad for p in made.pipe.vae.parameters()]
    added = gains(made, warmth, range(1), scale=20.0, start=0.5, through=through)
    assert min(added) > 0
    assert torch.equal(call(made, 0), plain)
    assert torch.is_grad_enabled()
    assert [p.requires_grad for p in made.pipe.vae.parameters()] == flags


def test_many_seeds(tiny: Build) -> None:
    added = gains(tiny("ltx"), warmth, range(10), scale=20.0, start=0.75)
    wins = sum(gain > 0 for gain in added)
    assert binomtest(wins, len(added), alternative="greater").pvalue < 0.01


def test_with_the_bundled_default(tiny: Build, light_checkpoint: Path) -> None:
    reward = VideoReward.from_pretrained(light_checkpoint)
    added = gains(tiny("ltx"), reward, range(6), scale=5.0, start=0.75)
    wins = sum(gain > 0 for gain in added)
    assert binomtest(wins, len(added), alternative="greater").pvalue < 0.05


def test_dimensions_are_weighted(tiny: Build) -> None:
    def both(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
        warm = warmth(frames, prompts)
        return {"warm": warm, "cold": -warm, "overall": 0 * warm}

    made = tiny("cogvideox")
    for name, sign in (("warm", 1), ("cold", -1)):
        plain = warmth(call(made), None)
        with RewardGuidance(made.pipe, both, scale=20.0, weights={name: 1.0}):
            guided = warmth(call(made), None)
        assert sign * float(guided - plain) > 0
    with RewardGuidance(made.pipe, both, scale=20.0) as guide:
        assert torch.equal(call(made), call(made))
    assert all(float(entry.gradient) == 0 for entry in guide.history)


@pytest.mark.parametrize("through", ["latents", "denoiser"])
@pytest.mark.parametrize("name", ["wan", "wan_unipc", "mochi", "cogvideox", "animatediff_euler"])
def test_the_change_is_the_formula_by_hand(tiny: Build, name: str, through: str) -> None:
    """Gradient, scale, level factor and clip against autograd of the whole chain."""
    made = tiny(name)
    scale, clip = 5.0, 1e6

    class Seen(Hook):
        def __init__(self) -> None:
            self.before: dict[int, Step] = {}

        def before_step(self, step: Step) -> None:
            self.before[step.index] = step

    outer = Seen()
    with (
        RewardGuidance(
            made.pipe,
            warmth,
            scale=scale,
            clip=clip,
            start=0.75,
            through=through,  # type: ignore[arg-type]
        ) as guide,
        hooked(made.pipe, outer),
    ):
        guide.gradient.reset()
        call(made)
    (entry,) = guide.history
    step = outer.before[entry.step]
    sizes = {name: made.kwargs.get(name) for name in ("height", "width", "num_frames")}
    if through == "latents":
        clean = step.clean().detach().requires_grad_()
        total = warmth(decode_latents(made.pipe, clean, **sizes), None)
        (gradient,) = torch.autograd.grad(total.sum(), clean)
        torch.testing.assert_close(gradient.norm(), entry.gradient[0], rtol=1e-3, atol=1e-9)
        change = gradient * scale * gradient.numel()
        share = change.norm() / (clean - step.sample).norm()
        torch.testing.assert_close(entry.share[0], share.detach(), rtol=1e-3, atol=1e-9)
    assert float(entry.gradient[0]) > 0 and not bool(entry.clipped[0])


def test_gradient_through_the_denoiser_is_that_of_finite_differences(tiny: Build) -> None:
    """In float64: the reward of x0(x) along the gradient, against two runs beside it."""
    made = tiny("wan")
    made.pipe.to(torch.float64)
    made.kwargs["num_inference_steps"] = 2
    start = torch.randn(
        1, 16, 3, 4, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )

    class Moved(Hook):
        """Runs on to the second step with x + shift, and keeps x0 there."""

        def __init__(self, shift: Tensor | float) -> None:
            self.shift = shift

        def after_step(self, step: Step, sample: Tensor) -> Tensor:
            return sample + self.shift if step.index == 0 else sample

    def reward_at(shift: Tensor | float) -> float:
        with hooked(made.pipe, Moved(shift)):
            latents = call(made, latents=start, output_type="latent")
        return float(warmth(decode_latents(made.pipe, latents).clamp(0, 1), None))

    seen: list[Tensor] = []
    guide = RewardGuidance(made.pipe, warmth, scale=1.0, start=0.5, through="denoiser", clip=1e-9)
    plain = guide.gradient.__call__

    def keeping(*args: Any, **kwargs: Any) -> Any:
        result = plain(*args, **kwargs)
        seen.append(result[1])
        return result

    guide.gradient = keeping  # type: ignore[assignment]
    guide.on_start = lambda run: None  # type: ignore[method-assign]
    with guide:
        call(made, latents=start)
    (gradient,) = seen
    direction = gradient / gradient.norm()
    width = 1e-4
    slope = (reward_at(width * direction) - reward_at(-width * direction)) / (2 * width)
    assert slope == pytest.approx(float(gradient.norm()), rel=2e-2)


def test_no_guided_step_or_no_scale_changes_nothing(tiny: Build) -> None:
    made = tiny("wan_unipc")
    plain = call(made)
    with RewardGuidance(made.pipe, warmth, scale=0.0) as guide:
        assert torch.equal(call(made), plain)
    with RewardGuidance(made.pipe, warmth, start=0.9, stop=0.95) as other:
        assert torch.equal(call(made), plain)
    assert guide.history == other.history == []


def test_a_batch_is_its_videos(tiny: Build) -> None:
    made = tiny("hunyuan_video")
    with RewardGuidance(made.pipe, warmth, scale=20.0):
        each = [call(made, seed) for seed in (0, 1)]
        generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
        both = call(made, prompt=["a cat"] * 2, generator=generators)
    torch.testing.assert_close(both, torch.cat(each), rtol=0, atol=2e-4)


def test_steps_schedules_and_windows(tiny: Build) -> None:
    made = tiny("wan")
    with RewardGuidance(made.pipe, warmth, start=0.25, stop=0.75, schedule="linear") as guide:
        call(made)
    assert [entry.step for entry in guide.history] == [1, 2]
    weigh = guide._weight
    assert [weigh(index, 4) for index in range(4)] == [0.0, 0.5, 1.0, 0.0]
    guide.schedule = "cosine"
    assert [round(weigh(index, 4), 6) for index in range(4)] == [0.0, 0.5, 1.0, 0.0]
    guide.schedule = "constant"
    assert [weigh(index, 4) for index in range(4)] == [0.0, 1.0, 1.0, 0.0]
    with RewardGuidance(made.pipe, warmth, scale=20.0, window=1, seed=1):
        first, again = call(made), call(made)
    assert torch.equal(first, again) and not torch.equal(first, call(made))


def test_clipping_hand_worked() -> None:
    """Norm 5 against 0.5 * 4: cut by 2 / 5. Norm 1 against 2: as it is."""
    change = torch.tensor([[3.0, 4.0], [0.6, 0.8]])
    reference = torch.tensor([[4.0, 0.0], [0.0, 4.0]])
    cut, share, clipped = clipped_change(change, reference, clip=0.5)
    torch.testing.assert_close(cut, torch.tensor([[1.2, 1.6], [0.6, 0.8]]))
    assert share.tolist() == [0.5, 0.25] and clipped.tolist() == [True, False]


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
@pytest.mark.parametrize("through", ["latents", "denoiser"])
def test_errors_restore_everything(tiny: Build, through: str, error: BaseException) -> None:
    made = tiny("wan")
    plain = call(made)
    classes = type(made.pipe), type(made.pipe.scheduler)

    def broken(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        raise error

    with (
        pytest.raises(type(error)),
        RewardGuidance(made.pipe, broken, through=through),  # type: ignore[arg-type]
    ):
        call(made)
    assert (type(made.pipe), type(made.pipe.scheduler)) == classes
    assert not made.pipe.transformer.is_gradient_checkpointing
    assert all(p.requires_grad for p in made.pipe.transformer.parameters())
    assert torch.is_grad_enabled()
    assert torch.equal(call(made), plain)


def test_a_batch_is_differentiated_one_video_after_another(tiny: Build) -> None:
    """What is held of a video is gone when the next one is scored."""
    made = tiny("wan")
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def watched(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        gc.collect()
        alive.append(sum(one() is not None for one in seen))
        seen.append(weakref.ref(frames))
        return warmth(frames, prompts)

    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    with RewardGuidance(made.pipe, watched, start=0.75):
        call(made, prompt=["a cat"] * 3, generator=generators)
    assert len(alive) == 3 and max(alive[1:]) <= 1  # the one before, until it is replaced


def test_shares_that_floats_make_too_large_are_whole_steps(tiny: Build) -> None:
    guide = RewardGuidance(tiny("wan").pipe, warmth, start=0.07)
    assert 0.07 * 100 > 7 and guide._weight(7, 100) > 0 and guide._weight(6, 100) == 0


def test_what_is_differentiated_is_frozen_meanwhile(tiny: Build) -> None:
    made = tiny("wan")
    with RewardGuidance(made.pipe, warmth, through="denoiser"):
        for model in (made.pipe.vae, made.pipe.transformer):
            assert not any(p.requires_grad for p in model.parameters())
    for model in (made.pipe.vae, made.pipe.transformer):
        assert all(p.requires_grad for p in model.parameters())


def test_a_group_offloaded_denoiser_is_refused(tiny: Build) -> None:
    made = tiny("wan")
    cpu = torch.device("cpu")
    made.pipe.transformer.enable_group_offload(
        onload_device=cpu, offload_device=cpu, offload_type="block_level", num_blocks_per_group=1
    )
    with (
        pytest.raises(ValueError, match="transformer is group-offloaded: its weights are"),
        RewardGuidance(made.pipe, warmth, through="denoiser"),
    ):
        pass


@pytest.mark.parametrize("through", ["latents", "denoiser"])
def test_under_model_offload(tiny: Build, through: Any) -> None:
    """Models are fetched when they are called, the VAE between two calls of the denoiser."""
    made, other = tiny("wan"), tiny("wan")
    settings: dict[str, Any] = {"scale": 20.0, "start": 0.5, "through": through}
    with RewardGuidance(made.pipe, warmth, **settings):
        expected = call(made)
    other.pipe.enable_model_cpu_offload(device="cpu")
    with RewardGuidance(other.pipe, warmth, **settings):
        guided = call(other)
    torch.testing.assert_close(guided, expected, rtol=0, atol=1e-5)


def test_what_is_refused(tiny: Build) -> None:
    made = tiny("wan")
    for settings, message in (
        ({"scale": -1.0}, "scale is -1.0; give 0 or more"),
        ({"clip": 0.0}, "clip is 0.0; give a share above 0"),
        ({"start": 0.8, "stop": 0.5}, "start is 0.8 and stop 0.5; give shares of the steps"),
        ({"window": 0}, "window is 0; give 1 latent frame or more"),
        ({"through": "both"}, "through is 'both'; choose latents or denoiser"),
        ({"schedule": "sine"}, "schedule is 'sine'; choose constant, linear, cosine"),
        ({"start": 0.0, "through": "denoiser"}, "the first step cannot be guided"),
    ):
        with pytest.raises(ValueError, match=message):
            RewardGuidance(made.pipe, warmth, **settings)  # type: ignore[arg-type]

    def detached(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return warmth(frames.detach(), prompts)

    with (
        pytest.raises(ValueError, match="no gradient with respect to the frames; guidance needs"),
        RewardGuidance(made.pipe, detached),
    ):
        call(made)

    def steep(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return (frames * 0).mean(dim=(1, 2, 3, 4)).clamp(min=0).sqrt()  # infinite slope at 0

    with (
        pytest.raises(ValueError, match="gradient is not finite at step 3 for videos"),
        RewardGuidance(made.pipe, steep, start=0.75),
    ):
        call(made)

"""Gradients of every dimension reach the pixels of every view, and are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, VideoReward
from aigv_reward.views import Views, build_views, frame_plan

VIEWS = ("key_frames", "fragments", "fast")


@pytest.fixture
def frames(clip: Callable[..., Tensor]) -> Tensor:
    """(1, 12, 3, 40, 56) float64, away from the ends of the range."""
    return (clip().double() / 255 * 0.8 + 0.1)[None]


def views_of(reward: VideoReward, frames: Tensor) -> Views:
    plan = frame_plan(frames.shape[1], reward.sampling)
    return build_views(frames, plan, reward.sampling, dtype=torch.float64)


def central_difference(function: Callable[[Tensor], Tensor], at: Tensor, along: Tensor) -> float:
    step = 1e-5
    with torch.no_grad():
        return float(function(at + step * along) - function(at - step * along)) / (2 * step)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("seed", range(2))
def test_gradient_equals_finite_differences(
    double_reward: VideoReward, frames: Tensor, dimension: str, seed: int
) -> None:
    reward = VideoReward(double_reward.model, weights={dimension: 1.0})
    frames.requires_grad_()
    (gradient,) = torch.autograd.grad(reward(frames).sum(), frames)
    assert gradient.dtype == torch.float64
    generator = torch.Generator().manual_seed(seed)
    along = torch.randn(frames.shape, generator=generator, dtype=torch.float64)
    expected = central_difference(lambda x: reward(x).sum(), frames.detach(), along)
    assert float((gradient * along).sum()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("view", VIEWS)
def test_gradient_through_each_view_alone_equals_finite_differences(
    double_reward: VideoReward, frames: Tensor, dimension: str, view: str
) -> None:
    fixed = views_of(double_reward, frames)

    def score(pixels: Tensor) -> Tensor:
        views = replace(fixed, **{view: getattr(views_of(double_reward, pixels), view)})
        return double_reward.score_views(views, dimensions=[dimension])[dimension].sum()

    pixels = frames.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(pixels), pixels)
    along = torch.randn(frames.shape, generator=torch.Generator().manual_seed(3)).double()
    expected = central_difference(score, frames, along)
    assert abs(expected) > 1e-8
    assert float((gradient * along).sum()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("view", VIEWS)
def test_gradient_reaches_exactly_the_frames_that_the_view_takes(
    double_reward: VideoReward, frames: Tensor, view: str
) -> None:
    fixed = views_of(double_reward, frames)
    frames.requires_grad_()
    views = replace(fixed, **{view: getattr(views_of(double_reward, frames), view)})
    sum(double_reward.score_views(views).values()).sum().backward()
    touched = frames.grad.abs().sum(dim=(0, 2, 3, 4)).nonzero().flatten()
    plan = frame_plan(frames.shape[1], double_reward.sampling)
    assert torch.equal(touched, getattr(plan, view).unique())


def test_gradient_of_a_batch_is_that_of_each_video(
    double_reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    batch = torch.stack([clip(), clip(seed=1)]).double() / 255
    batch.requires_grad_()
    (together,) = torch.autograd.grad(double_reward(batch).sum(), batch)
    for index in range(2):
        one = batch[index : index + 1].detach().requires_grad_()
        (alone,) = torch.autograd.grad(double_reward(one).sum(), one)
        torch.testing.assert_close(together[index], alone[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_gradient_ascent_on_pixels_raises_the_chosen_score(
    model: object, clip: Callable[..., Tensor], dimension: str
) -> None:
    reward = VideoReward(model, weights={dimension: 1.0})  # type: ignore[arg-type]
    frames = (clip().float() / 255)[None]
    begun = reward.score(frames)[dimension]
    trace = [float(begun)]
    for _ in range(8):
        pixels = frames.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(reward(pixels).sum(), pixels)
        frames = (frames + 0.004 * gradient.sign()).clamp(0, 1)
        trace.append(float(reward(frames)))
    assert trace[-1] > trace[0] + 0.02
    assert reward.score(frames)[dimension] > begun


@pytest.mark.parametrize("layout", ["btchw", "bcthw", "bthwc"])
@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_gradient_passes_layout_and_range(
    double_reward: VideoReward, frames: Tensor, layout: str, value_range: tuple[float, float]
) -> None:
    order = {"btchw": (0, 1, 2, 3, 4), "bcthw": (0, 2, 1, 3, 4), "bthwc": (0, 1, 3, 4, 2)}[layout]
    low, high = value_range
    frames.requires_grad_()
    (expected,) = torch.autograd.grad(double_reward(frames).sum(), frames)
    given = (frames.detach().permute(order) * (high - low) + low).requires_grad_()
    score = double_reward(given, layout=layout, value_range=value_range)  # type: ignore[arg-type]
    (gradient,) = torch.autograd.grad(score.sum(), given)
    scaled = gradient * (high - low)
    torch.testing.assert_close(scaled, expected.permute(order), rtol=1e-6, atol=1e-9)


def test_overshooting_pixels_keep_their_gradient(double_reward: VideoReward) -> None:
    frames = torch.full((1, 6, 3, 40, 40), 1.2, dtype=torch.float64)
    frames[:, ::2] = -0.2
    frames.requires_grad_()
    double_reward(frames).sum().backward()
    assert frames.grad.abs().amax(dim=(0, 2, 3, 4)).min() > 0


def test_scores_of_tensors_are_differentiable_too(
    double_reward: VideoReward, frames: Tensor
) -> None:
    frames.requires_grad_()
    scores = double_reward.score([frames[0]], clips=2)
    (direct,) = torch.autograd.grad(scores.motion.sum(), frames, retain_graph=True)
    (windows,) = torch.autograd.grad(scores.windows["motion"].mean(), frames)
    assert direct.abs().amax() > 0
    torch.testing.assert_close(direct, windows)


def test_grad_mode_is_the_caller_s(reward: VideoReward, clip: Callable[..., Tensor]) -> None:
    frames = (clip().float() / 255)[None]
    assert not reward(frames).requires_grad  # the weights are frozen, the pixels were not asked
    assert not reward(clip()[None]).requires_grad
    frames.requires_grad_()
    assert reward(frames).requires_grad
    assert reward.score([frames[0]]).overall.requires_grad
    with torch.no_grad():
        assert not reward(frames).requires_grad
        assert not reward.score([frames[0], frames[0]], batch_size=1).overall.requires_grad
    with torch.inference_mode():
        assert reward(frames).is_inference()


def test_weights_are_frozen_and_gather_no_gradient(
    own_reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    assert not any(p.requires_grad for p in own_reward.model.parameters())
    before = {name: value.clone() for name, value in own_reward.model.state_dict().items()}
    frames = (clip().float() / 255)[None].requires_grad_()
    own_reward(frames).sum().backward()
    assert frames.grad.abs().sum() > 0
    assert all(p.grad is None for p in own_reward.model.parameters())
    for name, value in own_reward.model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_gradient_checkpointing_changes_no_gradient(
    double_model: object, tokenizer: object, clip: Callable[..., Tensor]
) -> None:
    frames = (clip().double() / 255)[None].requires_grad_()
    reward = VideoReward(double_model)  # type: ignore[arg-type]
    (plain,) = torch.autograd.grad(reward(frames).sum(), frames)
    reward.model.gradient_checkpointing_enable()
    (recomputed,) = torch.autograd.grad(reward(frames).sum(), frames)
    reward.model.gradient_checkpointing_disable()
    torch.testing.assert_close(recomputed, plain, rtol=1e-9, atol=1e-12)

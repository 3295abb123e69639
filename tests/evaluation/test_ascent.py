"""Pixel ascent against closed forms."""

import pytest
import torch
from torch import Tensor

from aigv_reward.evaluation.ascent import pixel_ascent, random_perturbation

EPSILON = 4 / 255


@pytest.fixture
def frames() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.2 + 0.6 * torch.rand(3, 3, 5, 6, generator=generator, dtype=torch.float64)


def test_a_linear_score_gains_the_budget_times_the_weights(frames: Tensor) -> None:
    """sum(w x) rises by epsilon * sum |w| where [0, 1] does not bind."""
    weights = torch.randn(frames.shape, generator=torch.Generator().manual_seed(1)).double()
    ascent = pixel_ascent(
        lambda x: (weights * x).sum(), frames, epsilon=EPSILON, steps=5, step_size=EPSILON / 2
    )
    assert ascent.gradient == "present"
    assert ascent.before == pytest.approx(float((weights * frames).sum()))
    assert ascent.after - ascent.before == pytest.approx(EPSILON * float(weights.abs().sum()))


def test_steps_that_do_not_fill_the_budget_go_as_far_as_they_are_long(frames: Tensor) -> None:
    ascent = pixel_ascent(lambda x: x.mean(), frames, epsilon=EPSILON, steps=3, step_size=0.001)
    assert ascent.after - ascent.before == pytest.approx(0.003)


def test_pixels_stay_in_range(frames: Tensor) -> None:
    white = torch.ones_like(frames)
    ascent = pixel_ascent(lambda x: x.mean(), white, epsilon=EPSILON, steps=3, step_size=0.01)
    assert (ascent.before, ascent.after, ascent.gradient) == (1.0, 1.0, "present")


def test_the_best_step_counts_not_the_last(frames: Tensor) -> None:
    """-|mean - m - 0.004| with steps of 0.006: one step overshoots to -0.002, the next goes back.

    Two steps end at m again, where the score is -0.004; the best was after the first.
    """
    centre = float(frames.mean()) + 0.004
    ascent = pixel_ascent(
        lambda x: -(x.mean() - centre).abs(), frames, epsilon=0.1, steps=2, step_size=0.006
    )
    assert ascent.before == pytest.approx(-0.004)
    assert ascent.after == pytest.approx(-0.002)


def test_a_score_without_the_pixels_has_no_gradient(frames: Tensor) -> None:
    other = torch.ones(1, requires_grad=True)
    for score in (lambda x: x.detach().mean(), lambda x: other.sum() + x.detach().mean()):
        ascent = pixel_ascent(score, frames, epsilon=EPSILON, steps=3, step_size=0.01)
        assert ascent.gradient == "none"
        assert ascent.after == ascent.before


def test_a_gradient_that_vanishes_is_told_apart(frames: Tensor) -> None:
    ascent = pixel_ascent(
        lambda x: (255 * x).round().mean(), frames, epsilon=EPSILON, steps=3, step_size=0.01
    )
    assert ascent.gradient == "zero"
    assert ascent.after == ascent.before


def test_a_gradient_that_vanishes_on_the_way_ends_the_ascent(frames: Tensor) -> None:
    top = float(frames.mean()) + 0.005
    ascent = pixel_ascent(
        lambda x: x.mean().clamp(max=top), frames, epsilon=0.1, steps=9, step_size=0.004
    )
    assert ascent.gradient == "present"
    assert ascent.after == pytest.approx(top)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_callers_grad_mode_does_not_matter(frames: Tensor, mode: type) -> None:
    with mode():
        ascent = pixel_ascent(
            lambda x: x.mean(), frames.clone(), epsilon=EPSILON, steps=2, step_size=0.001
        )
    assert ascent.after - ascent.before == pytest.approx(0.002)


def test_a_gradient_that_is_not_finite_is_an_error(frames: Tensor) -> None:
    with pytest.raises(ValueError, match="the gradient to the pixels is not finite"):
        pixel_ascent(
            lambda x: (x - x.detach()).sqrt().sum(), frames, epsilon=0.1, steps=1, step_size=0.1
        )


def test_a_random_perturbation_fills_the_budget_and_repeats() -> None:
    frames = torch.full((2, 3, 40, 40), 0.5)
    first, again, other = (
        random_perturbation(frames, epsilon=EPSILON, generator=torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    torch.testing.assert_close((first - frames).abs(), torch.full_like(frames, EPSILON))
    assert abs(float((first - frames).mean())) < EPSILON / 20
    assert torch.equal(first, again) and not torch.equal(first, other)
    white = torch.ones(1, 3, 4, 4)
    generator = torch.Generator().manual_seed(0)
    assert random_perturbation(white, epsilon=0.1, generator=generator).max() == 1

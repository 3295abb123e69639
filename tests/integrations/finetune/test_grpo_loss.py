"""The clipped loss by hand, against a slow loop and autograd's numbers; the KL against torch's."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from aigv_reward.integrations.finetune.grpo_loss import gaussian_kl, grpo_loss


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand() -> None:
    """Ratios 1.1, 1.1, 0.9, 0.9 with A = 1, -1, 1, -1 and a clip of 0.05.

    max(-1.1, -1.05) = -1.05 is cut off; max(1.1, 1.05) = 1.1 is not; max(-0.9, -0.95) = -0.9 is
    not; max(0.9, 0.95) = 0.95 is. The mean is 0.1 / 4.
    """
    log_probs = column(1.1, 1.1, 0.9, 0.9).log()
    advantages = column(1, -1, 1, -1)
    found = grpo_loss(log_probs, torch.zeros(4), advantages, clip_low=0.05, clip_high=0.05)
    assert float(found.loss) == pytest.approx(0.025)
    assert (found.ratio, found.clip_fraction, found.kl) == (pytest.approx(1.0), 0.5, 0.0)
    assert found.rows == 4


def test_the_two_sides_of_the_clip() -> None:
    log_probs, old = column(1.1, 0.9).log(), torch.zeros(2, dtype=torch.float64)
    found = grpo_loss(log_probs, old, column(1, -1), clip_low=0.02, clip_high=0.2)
    assert float(found.loss) == pytest.approx((-1.1 + 0.98) / 2)
    assert found.clip_fraction == 0.5


def test_the_clip_fraction_counts_what_the_advantage_pushes_out() -> None:
    """Of ratio 1.1 with A = 1, 1, -1 two are cut off; of 0.9, with A = 1, 1, -1, one is."""
    old = torch.zeros(3, dtype=torch.float64)
    for ratio, share in ((1.1, 2 / 3), (0.9, 1 / 3)):
        log_probs = column(ratio, ratio, ratio).log()
        found = grpo_loss(log_probs, old, column(1, 1, -1), clip_low=0.05, clip_high=0.05)
        assert found.clip_fraction == pytest.approx(share)


def test_at_the_start_the_ratio_is_one_and_the_gradient_is_the_policy_gradient() -> None:
    log_probs = drawn(6).float().requires_grad_()
    advantages = drawn(6, seed=1).float()
    found = grpo_loss(log_probs, log_probs.detach(), advantages, clip_low=1e-4, clip_high=1e-4)
    assert found.ratio == 1.0 and found.clip_fraction == 0.0
    (gradient,) = torch.autograd.grad(found.loss, log_probs)
    torch.testing.assert_close(gradient, -advantages / 6)


def test_a_step_that_is_cut_off_has_no_gradient() -> None:
    log_probs = column(0.3, -0.3).requires_grad_()
    found = grpo_loss(
        log_probs, torch.zeros(2, dtype=torch.float64), column(1, 1), clip_low=0.1, clip_high=0.1
    )
    (gradient,) = torch.autograd.grad(found.loss, log_probs)
    assert gradient[0] == 0 and gradient[1] == pytest.approx(-math.exp(-0.3) / 2)


def test_against_a_slow_loop_with_kl_and_rows() -> None:
    log_probs, old, advantages = (0.1 * drawn(8, seed=s) for s in range(3))
    kl, trains = drawn(8, seed=3).square(), torch.tensor([1, 1, 0, 1, 0, 1, 1, 1]).bool()
    found = grpo_loss(
        log_probs, old, advantages, clip_low=0.03, clip_high=0.05, kl=kl, beta=0.2, trains=trains
    )
    terms, kls = [], []
    for row in range(8):
        if trains[row]:
            ratio = math.exp(log_probs[row] - old[row])
            a = float(advantages[row])
            terms.append(max(-a * ratio, -a * min(max(ratio, 0.97), 1.05)))
            kls.append(float(kl[row]))
    assert float(found.loss) == pytest.approx(sum(terms) / 6 + 0.2 * sum(kls) / 6)
    assert found.kl == pytest.approx(sum(kls) / 6) and found.rows == 6


def test_gradcheck() -> None:
    old, advantages = 0.1 * drawn(5, seed=1), drawn(5, seed=2)

    def loss(log_probs: torch.Tensor, kl: torch.Tensor) -> torch.Tensor:
        options = {"clip_low": 0.05, "clip_high": 0.05, "beta": 0.5}
        return grpo_loss(log_probs, old, advantages, kl=kl, **options).loss

    inputs = (0.1 * drawn(5)).requires_grad_(), drawn(5, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(loss, inputs)


def test_two_halves_with_a_common_denominator_are_the_whole() -> None:
    """As two processes do: 3 and 2 rows count, so each divides by 5 / 2 and their mean is taken."""
    log_probs, old, advantages = (0.1 * drawn(6, seed=s) for s in range(3))
    trains = torch.tensor([True, True, True, True, False, True])
    clip = {"clip_low": 0.1, "clip_high": 0.1}
    whole = grpo_loss(log_probs, old, advantages, trains=trains, **clip).loss
    halves = [
        grpo_loss(
            log_probs[part], old[part], advantages[part], trains=trains[part], num_rows=2.5, **clip
        ).loss
        for part in (slice(0, 3), slice(3, 6))
    ]
    torch.testing.assert_close(sum(halves) / 2, whole)


def test_no_rows_give_a_zero_with_a_graph() -> None:
    log_probs = drawn(2).requires_grad_()
    none = torch.zeros(2, dtype=torch.bool)
    found = grpo_loss(log_probs, drawn(2), drawn(2), clip_low=0.1, clip_high=0.1, trains=none)
    found.loss.backward()
    assert float(found.loss.detach()) == 0 and found.rows == 0
    assert torch.equal(log_probs.grad, torch.zeros(2, dtype=torch.float64))


def test_kl_by_hand() -> None:
    """Means apart by (3, 4) and (0, 2): 25 / 2 / (2 * 0.25) = 25, and 2 / (2 * 4) = 0.25."""
    mean, reference = torch.tensor([[3.0, 4.0], [1.0, 2.0]]), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    found = gaussian_kl(mean, reference, std=torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(found, torch.tensor([25.0, 0.25]))


def test_kl_against_torch() -> None:
    mean, reference = drawn(3, 4, 2, 2), drawn(3, 4, 2, 2, seed=1)
    expected = kl_divergence(Normal(mean, 0.3), Normal(reference, 0.3)).flatten(1).mean(1)
    torch.testing.assert_close(gaussian_kl(mean, reference, std=0.3), expected)
    assert torch.equal(gaussian_kl(mean, mean, std=0.3), torch.zeros(3, dtype=torch.float64))


def test_kl_of_a_step_without_noise_is_not_normalised() -> None:
    mean, reference = drawn(2, 6), drawn(2, 6, seed=1)
    squares = (mean - reference).square().mean(1)
    torch.testing.assert_close(gaussian_kl(mean, reference, std=0.0), squares)
    mixed = gaussian_kl(mean, reference, std=torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(mixed, squares / column(1, 0.5))


def test_kl_gradients_reach_the_policy_only() -> None:
    mean, reference = drawn(2, 3).requires_grad_(), drawn(2, 3, seed=1).requires_grad_()
    std = torch.tensor([0.0, 0.7], dtype=torch.float64)
    gaussian_kl(mean, reference, std=std).sum().backward()
    assert reference.grad is None
    torch.testing.assert_close(
        mean.grad,
        (2 / 3 * (mean - reference) / torch.tensor([[1.0], [2 * 0.49]])).detach(),
    )
    assert torch.autograd.gradcheck(lambda m: gaussian_kl(m, reference, std=std), mean)


def test_kl_of_half_precision_is_taken_in_float32() -> None:
    mean = torch.full((1, 4), 1.0, dtype=torch.bfloat16)
    found = gaussian_kl(mean, mean + 0.0078125, std=1e-2)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.tensor([0.0078125**2 / 2e-4]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_probs": drawn(2, 1)}, r"log_probs have shape \(2, 1\); they must be \(B,\)"),
        (
            {"advantages": drawn(1)},
            r"advantages has shape \(1,\) and log_probs \(2,\); they must be alike",
        ),
        ({"old_log_probs": drawn(3)}, r"old_log_probs has shape \(3,\) and log_probs \(2,\)"),
        ({"kl": drawn(2, 1)}, r"kl has shape \(2, 1\) and log_probs \(2,\)"),
        ({"trains": torch.ones(1).bool()}, r"trains has shape \(1,\) and log_probs \(2,\)"),
        ({"clip_low": 1.0}, "clip_low is 1.0 and clip_high 0.1; the ratio is kept in"),
        ({"clip_high": -0.1}, "clip_low is 0.1 and clip_high -0.1; the ratio is kept in"),
        ({"beta": -1.0}, "beta is -1.0; it must be at least 0"),
        ({"beta": 0.1}, "beta is 0.1, but there is no kl; give one, or set beta to 0"),
        ({"num_rows": 0.0}, "num_rows is 0.0; it must be above 0"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    names = ("log_probs", "old_log_probs", "advantages")
    given = {**{name: drawn(2) for name in names}, "clip_low": 0.1, "clip_high": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        grpo_loss(*[given.pop(name) for name in names], **given)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (drawn(2, 3), 1.0, r"mean has shape \(2, 3\) and reference_mean \(2, 4\); they must be"),
        (drawn(2, 4), torch.ones(2, 1), r"std has shape \(2, 1\); it must be one number or \(2,\)"),
        (drawn(2, 4), -1.0, r"std is -1.0; it must be at least 0"),
    ],
)
def test_errors_of_the_kl(mean: torch.Tensor, std: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gaussian_kl(mean, drawn(2, 4), std=std)

"""Bradley-Terry with ties against hand-worked numbers."""

from __future__ import annotations

import math

import pytest
import torch

from aigv_reward.training.pair_losses import (
    tie_aware_bradley_terry,
    tie_aware_log_probabilities,
)


def test_probabilities_by_hand() -> None:
    """k = 2, strengths 3 and 1, so d = ln 3.

    P(A) = 3 / (3 + 2 * 1) = 3/5, P(B) = 1 / (1 + 2 * 3) = 1/7,
    P(same) = (4 - 1) * 3 * 1 / ((3 + 2) (1 + 6)) = 9/35; together 21/35 + 5/35 + 9/35 = 1.
    """
    logs = tie_aware_log_probabilities(torch.tensor([math.log(3)]), tie_k=2.0)
    found = [value.exp().item() for value in logs]
    assert found == pytest.approx([3 / 5, 1 / 7, 9 / 35])


def test_the_loss_by_hand() -> None:
    """The same pair chosen A, the swapped pair chosen A (so P(B) above), and chosen same.

    With scale 2 a difference in score of ln(3) / 2 is the same d.
    """
    d = math.log(3) / 2
    scores_a, scores_b = torch.tensor([1 + d, 1.0, 1 + d]), torch.tensor([1.0, 1 + d, 1.0])
    loss = tie_aware_bradley_terry(
        scores_a, scores_b, torch.tensor([1.0, 1.0, 0.0]), tie_k=2.0, scale=2.0
    )
    expected = -(math.log(3 / 5) + math.log(1 / 7) + math.log(9 / 35)) / 3
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("tie_k", [1.001, 2.0, 5.0, 100.0])
def test_probabilities_add_up_and_mirror(tie_k: float) -> None:
    difference = torch.linspace(-20, 20, 41, dtype=torch.float64)
    first, second, same = tie_aware_log_probabilities(difference, tie_k=tie_k)
    total = first.exp() + second.exp() + same.exp()
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-12)
    torch.testing.assert_close(first.flip(0), second, rtol=0, atol=1e-12)
    torch.testing.assert_close(same.flip(0), same, rtol=0, atol=1e-12)
    assert same.exp()[20].item() == pytest.approx((tie_k - 1) / (tie_k + 1))


def test_large_differences_stay_finite() -> None:
    scores = torch.tensor([1e4, -1e4, 0.0], requires_grad=True)
    loss = tie_aware_bradley_terry(scores, -scores, torch.tensor([-1.0, 1.0, 0.0]))
    (grad,) = torch.autograd.grad(loss, scores)
    assert torch.isfinite(loss) and torch.isfinite(grad).all()


def test_a_tie_pulls_scores_together_and_a_choice_apart() -> None:
    scores = torch.tensor([3.0, 2.0], requires_grad=True)
    for choice, sign in ((1.0, -1), (-1.0, 1), (0.0, 1)):
        loss = tie_aware_bradley_terry(scores[:1], scores[1:], torch.tensor([choice]))
        (grad,) = torch.autograd.grad(loss, scores)
        assert grad.sign().tolist() == [sign, -sign]


def test_gradients_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    choices = torch.tensor([1.0, -1.0, 0.0, 0.0, 1.0, -1.0])
    assert torch.autograd.gradcheck(
        lambda s: tie_aware_bradley_terry(s[0], s[1], choices, tie_k=3.0, scale=1.5), scores
    )


@pytest.mark.parametrize("tie_k", [1.0, 0.5, math.inf, math.nan])
def test_without_room_for_ties_there_is_no_model(tie_k: float) -> None:
    with pytest.raises(ValueError, match=r"tie_k is .*; it must be above 1, or no pair could be"):
        tie_aware_bradley_terry(torch.ones(1), torch.ones(1), torch.zeros(1), tie_k=tie_k)

"""Losses against hand-worked numbers, gradcheck and their invariants."""

import math

import pytest
import torch

from aigv_reward.training import level_cross_entropy, plcc_loss, rank_hinge


def test_plcc_loss_is_zero_on_a_rising_line_and_half_on_a_falling_one():
    targets = torch.tensor([1.0, 2.0, 3.5, 5.0])
    assert plcc_loss(targets * 0.01 + 7, targets).item() == pytest.approx(0, abs=1e-6)
    assert plcc_loss(-targets, targets).item() == pytest.approx(0.5)


def test_plcc_loss_by_hand():
    # x = (-1, 0, 1), y = (0, -1, 1): rho = 1 / 2, (1 - 1/2)/4 + (1 - 1/4)/8 = 7/32
    loss = plcc_loss(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 0.0, 2.0]))
    assert loss.item() == pytest.approx(7 / 32)


def test_plcc_loss_refuses_a_single_score():
    with pytest.raises(ValueError, match=r"scores \(1,\) and targets \(1,\) must be"):
        plcc_loss(torch.ones(1), torch.ones(1))


def test_rank_hinge_by_hand():
    """Targets 3 > 2 > 1, scores 1, 2, 0, margin 1.

    pairs (i above j): (0,1) 1-(1-2)=2; (0,2) 1-(1-0)=0; (1,2) 1-(2-0)=-1 -> 0; mean 2/3.
    """
    scores, targets = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([3.0, 2.0, 1.0])
    assert rank_hinge(scores, targets, margin=1.0).item() == pytest.approx(2 / 3)


def test_rank_hinge_ignores_ties_and_falls_to_zero_in_order():
    assert rank_hinge(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 3.0]), margin=1.0).item() == 0
    assert rank_hinge(torch.tensor([5.0, 2.0]), torch.tensor([3.0, 1.0]), margin=1.0).item() == 0


def test_level_cross_entropy_by_hand():
    """Target 3.25 on levels 5..1: a quarter on 4, three quarters on 3.

    With logits log(p), p = (.1, .2, .4, .2, .1): -(0.25 ln 0.2 + 0.75 ln 0.4).
    """
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.4, 0.2, 0.1]]))
    loss = level_cross_entropy(logits, torch.tensor([3.25]), level_values=[5, 4, 3, 2, 1])
    assert loss.item() == pytest.approx(-(0.25 * math.log(0.2) + 0.75 * math.log(0.4)))


@pytest.mark.parametrize("target", [1.0, 2.0, 4.999, 5.0])
def test_level_cross_entropy_is_least_where_the_expected_level_is_the_target(target):
    logits = torch.zeros(1, 5, requires_grad=True)
    values = [5.0, 4.0, 3.0, 2.0, 1.0]
    for _ in range(400):
        loss = level_cross_entropy(logits, torch.tensor([target]), level_values=values)
        (grad,) = torch.autograd.grad(loss, logits)
        logits = (logits - 4 * grad).detach().requires_grad_()
    expected = (logits.softmax(1) @ torch.tensor(values)).item()
    assert expected == pytest.approx(target, abs=0.02)


def test_level_cross_entropy_does_not_depend_on_the_order_of_levels():
    logits, targets = torch.randn(4, 5), torch.tensor([1.2, 3.0, 4.4, 5.0])
    one = level_cross_entropy(logits, targets, level_values=[5, 4, 3, 2, 1])
    other = level_cross_entropy(logits.flip(1), targets, level_values=[1, 2, 3, 4, 5])
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_level_cross_entropy_refuses_targets_off_the_scale():
    with pytest.raises(ValueError, match=r"targets span 6..6, the levels 1..5; rescale"):
        level_cross_entropy(torch.zeros(1, 5), torch.tensor([6.0]), level_values=[5, 4, 3, 2, 1])


@pytest.mark.parametrize(
    "loss",
    [
        plcc_loss,
        lambda s, t: rank_hinge(s, t, margin=0.7),
        lambda s, t: level_cross_entropy(
            torch.stack([s, s * 0, s**2, -s, s * 2], 1), t, level_values=[5, 4, 3, 2, 1]
        ),
    ],
)
def test_gradients_against_finite_differences(loss):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, dtype=torch.float64, generator=generator, requires_grad=True)
    targets = 1 + 4 * torch.rand(5, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda s: loss(s, targets), scores)

"""Weights in log space and systematic resampling."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from aigv_reward.integrations.diffusers.resampling import (
    Potentials,
    effective_sample_size,
    systematic_resampling,
)

LOOKS = torch.tensor([[1.0, 2.0], [3.0, 1.0], [2.0, 4.0]])


@pytest.mark.parametrize(
    "potential, expected",
    [("difference", [2.0, 4.0]), ("max", [3.0, 4.0]), ("sum", [6.0, 7.0])],
)
def test_potentials_hand_worked(potential: Any, expected: list[float]) -> None:
    """Rewards 1, 3, 2 and 2, 1, 4: the last, the greatest, the sum of each, times the strength."""
    potentials = Potentials(2, potential=potential, strength=2.0)
    for rewards in LOOKS:
        potentials.add(rewards)
    assert potentials.log_weights.tolist() == [2 * value for value in expected]


def test_after_resampling_only_what_follows_counts() -> None:
    potentials = Potentials(2, potential="difference", strength=1.0)
    potentials.add(torch.tensor([1.0, 5.0]))
    potentials.resampled(torch.tensor([1, 1]))
    assert potentials.log_weights.tolist() == [0.0, 0.0]
    potentials.add(torch.tensor([6.0, 4.0]))
    assert potentials.log_weights.tolist() == [1.0, -1.0]


def test_a_negative_first_reward_is_a_maximum_too() -> None:
    potentials = Potentials(1, potential="max", strength=1.0)
    potentials.add(torch.tensor([-3.0]))
    assert potentials.log_weights.tolist() == [-3.0]
    potentials.add(torch.tensor([-5.0]))
    assert potentials.log_weights.tolist() == [-3.0]


def test_effective_sample_size() -> None:
    assert effective_sample_size(torch.zeros(5)) == pytest.approx(5)
    assert effective_sample_size(torch.tensor([900.0, 0.0, 0.0])) == pytest.approx(1)
    two = torch.tensor([0.75, 0.25]).double().log() + 1000  # a common factor does not matter
    assert effective_sample_size(two) == pytest.approx(1 / (0.75**2 + 0.25**2))


def test_systematic_resampling_is_unbiased_and_even() -> None:
    weights = torch.tensor([0.05, 0.45, 0.3, 0.2], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros(4, dtype=torch.float64)
    for _ in range(4000):
        order = systematic_resampling(weights.log(), generator)
        copies = torch.bincount(order, minlength=4)
        assert bool((copies >= (4 * weights).floor()).all())
        assert bool((copies <= (4 * weights).ceil()).all())
        stays = (copies > 0).nonzero().flatten()
        assert torch.equal(order[stays], stays)
        total += copies
    torch.testing.assert_close(total / 4000, 4 * weights, rtol=0, atol=0.03)


def test_equal_weights_change_nothing_and_one_weight_takes_all() -> None:
    generator = torch.Generator().manual_seed(0)
    assert systematic_resampling(torch.full((6,), -7.0), generator).tolist() == list(range(6))
    assert systematic_resampling(torch.tensor([0.0, 500.0]), generator).tolist() == [1, 1]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown potential 'mean'; choose difference, max, sum"):
        Potentials(2, potential="mean", strength=1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"strength is 0\.0; it must be above 0"):
        Potentials(2, potential="max", strength=0.0)

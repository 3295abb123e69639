"""Advantages by hand, against a slow loop, and what must not change them."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.integrations.finetune.advantages import best_and_worst, group_advantages


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def exact(actual: torch.Tensor, *expected: float) -> None:
    torch.testing.assert_close(actual, column(*expected), rtol=0, atol=1e-12)


def test_one_reward_by_hand() -> None:
    """Group (1, 3): mean 2, std 1, so -+1/1.0001. Group (0, 4): mean 2, std 2: -+2/2.0001."""
    found = group_advantages({"total": column(1, 3, 0, 4)}, group_size=2)
    exact(found.values, -1 / 1.0001, 1 / 1.0001, -2 / 2.0001, 2 / 2.0001)
    assert found.valid.all() and found.trains.all()
    assert (found.failed, found.dropped_groups, found.zero_variance_share) == (0, 0, 0.0)


def test_rewards_of_different_scale_by_hand() -> None:
    """a = (0, 2), b = (100, 0): normalised they cancel at equal weight; summed, b decides."""
    rewards = {"a": column(0, 2), "b": column(100, 0)}
    a, b = 1 / 1.0001, 50 / 50.0001
    exact(group_advantages(rewards, group_size=2).values, b - a, a - b)
    summed = group_advantages(rewards, group_size=2, combine="sum_then_normalise")
    exact(summed.values, 49 / 49.0001, -49 / 49.0001)  # sums 100 and 2


def test_weights_choose_what_counts() -> None:
    rewards = {"a": column(0, 2), "b": column(5, 0), "c": column(float("nan"), 1)}
    for combine in ("normalise_then_sum", "sum_then_normalise"):
        found = group_advantages(
            rewards,
            group_size=2,
            weights={"a": 3, "b": 0},
            combine=combine,  # type: ignore[arg-type]
        )
        scale = 3 / 1.0001 if combine == "normalise_then_sum" else 3 / 3.0001
        exact(found.values, -scale, scale)


def test_a_failed_row_is_left_out_and_reported() -> None:
    """(1, nan, 3): mean and std of (1, 3) alone."""
    rewards = {"total": column(1, float("nan"), 3)}
    found = group_advantages(rewards, group_size=3, valid=torch.tensor([True, False, True]))
    exact(found.values, -1 / 1.0001, 0, 1 / 1.0001)
    assert found.trains.tolist() == [True, False, True]
    assert found.failed == 1 and found.dropped_groups == 0


def test_groups_without_signal_are_dropped_and_counted() -> None:
    """Of four groups: one varies, one does not, one has one valid row, one has none."""
    rewards = {"total": column(0, 1, 7, 7, 3, 9, 3, 9)}
    valid = torch.tensor([True, True, True, True, True, False, False, False])
    found = group_advantages(rewards, group_size=2, valid=valid)
    exact(found.values, -0.5 / 0.5001, 0.5 / 0.5001, 0, 0, 0, 0, 0, 0)
    assert found.trains.tolist() == [True, True] + [False] * 6
    assert found.failed == 3 and found.dropped_groups == 3
    assert found.zero_variance_share == 0.5  # of the two groups that could vary


def test_rounding_is_no_variance() -> None:
    """Equal rewards that one ulp of float32 parts carry no signal; a real difference does."""
    base = torch.tensor([3.7, 3.7]) + torch.tensor([0.0, 2.4e-7])
    assert base[0] != base[1]
    assert group_advantages({"r": base}, group_size=2).dropped_groups == 1
    assert group_advantages({"r": base}, group_size=2, min_std=0.0).dropped_groups == 0


def test_a_reward_without_variance_adds_nothing() -> None:
    rewards = {"flat": column(5, 5), "lively": column(0, 2)}
    found = group_advantages(rewards, group_size=2)
    exact(found.values, -1 / 1.0001, 1 / 1.0001)
    assert found.dropped_groups == 0


def test_an_outlier_is_clamped() -> None:
    """One of 100 stands out by (1 - 0.01) / sqrt(0.01 * 0.99) = 9.9 standard deviations."""
    reward = torch.zeros(100, dtype=torch.float64)
    reward[42] = 1
    found = group_advantages({"r": reward}, group_size=100).values
    assert found[42] == 5.0
    torch.testing.assert_close(found[0], column(-0.01 / (0.0099**0.5 + 1e-4))[0])


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_against_a_slow_loop(values: list[float], mask: list[bool]) -> None:
    found = group_advantages({"r": column(*values)}, group_size=4, valid=torch.tensor(mask))
    expected = []
    for start in range(0, 12, 4):
        rows = range(start, start + 4)
        known = [values[row] for row in rows if mask[row]]
        std = statistics.pstdev(known) if len(known) > 1 else 0.0
        for row in rows:
            if not mask[row] or std <= 1e-6:
                expected.append(0.0)
            else:
                one = (values[row] - statistics.fmean(known)) / (std + 1e-4)
                expected.append(max(-5.0, min(5.0, one)))
    torch.testing.assert_close(found.values, column(*expected), rtol=1e-6, atol=1e-6)


def test_permuting_a_group_permutes_its_advantages_and_a_shift_changes_nothing() -> None:
    reward = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    order = torch.tensor([2, 0, 1, 3, 7, 6, 5, 4, 11, 8, 9, 10])
    plain = group_advantages({"r": reward}, group_size=4).values
    exact(group_advantages({"r": reward[order]}, group_size=4).values, *plain[order].tolist())
    exact(group_advantages({"r": reward + 8}, group_size=4).values, *plain.tolist())
    alone = [group_advantages({"r": part}, group_size=4).values for part in reward.split(4)]
    assert torch.equal(torch.cat(alone), plain)


def test_dtype_of_the_rewards_and_no_graph() -> None:
    reward = torch.tensor([0.0, 1.0], requires_grad=True)
    found = group_advantages({"r": reward}, group_size=2).values
    assert found.dtype == torch.float32 and not found.requires_grad
    half = group_advantages({"r": reward.bfloat16()}, group_size=2).values
    assert half.dtype == torch.float32


def test_best_and_worst_by_hand() -> None:
    found = group_advantages({"r": column(3, 1, 4, 1, 5, 9, 2, 6, 7, 7, 7, 7)}, group_size=4)
    kept = best_and_worst(found, group_size=4, keep=2)
    # (3 1 4 1): the best is 4, the worst the first 1; (5 9 2 6): 9 and 2; (7 7 7 7) is dropped.
    assert kept.nonzero().flatten().tolist() == [1, 2, 5, 6]
    every = best_and_worst(found, group_size=4, keep=4)
    assert torch.equal(every, found.trains)


def test_best_and_worst_of_what_is_valid() -> None:
    valid = torch.tensor([True, True, True, False, True, False, True, False])
    found = group_advantages({"r": column(3, 1, 2, 99, 1, 99, 2, 99)}, group_size=4, valid=valid)
    assert best_and_worst(found, group_size=4, keep=2).nonzero().flatten().tolist() == [0, 1, 4, 6]
    assert torch.equal(best_and_worst(found, group_size=4, keep=4), valid)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rewards": {}}, r"there are no rewards; give \{name: \(N,\)\} of at least one"),
        ({"combine": "mean"}, "combine is 'mean'; choose from normalise_then_sum, sum_then_n"),
        ({"group_size": 1}, "group_size is 1; advantages need a group of at least 2"),
        ({"group_size": 3}, "there are 4 rewards, no whole number of groups of 3; gather whole"),
        ({"rewards": {"a": column()}}, "there are 0 rewards, no whole number of groups of 2"),
        (
            {"rewards": {"a": column(1, 2), "b": column(1)}},
            r"reward 'b' has shape \(1,\) and 'a' has \(2,\); all must be \(N,\)",
        ),
        (
            {"valid": torch.ones(4)},
            r"valid is torch.float32 of shape \(4,\); it must be bool of shape \(4,\)",
        ),
        ({"weights": {"b": 1.0}}, "weights have 'b', which is no reward; there are a"),
        ({"weights": {"a": float("inf")}}, "the weight of 'a' is inf; it must be finite"),
        ({"weights": {"a": 0.0}}, "all weights are 0; give one reward another weight"),
        (
            {"rewards": {"a": column(1, float("nan"))}},
            "reward 'a' of row 1 is nan; mask a failed row with valid",
        ),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    given = {"rewards": {"a": column(1, 2, 3, 4)}, "group_size": 2, **change}
    with pytest.raises(ValueError, match=message):
        group_advantages(given.pop("rewards"), **given)


@pytest.mark.parametrize("keep", [0, 3, 6])
def test_keep_is_even_and_fits(keep: int) -> None:
    found = group_advantages({"r": column(1, 2, 3, 4)}, group_size=4)
    message = f"keep is {keep}; it must be even, at least 2 and at most group_size 4"
    with pytest.raises(ValueError, match=message):
        best_and_worst(found, group_size=4, keep=keep)

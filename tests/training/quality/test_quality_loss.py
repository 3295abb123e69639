"""Mixed batches against a slow loop over what people said."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import huber_loss

from aigv_reward.training.losses import level_cross_entropy, plcc_loss, rank_hinge
from aigv_reward.training.pair_losses import tie_aware_bradley_terry
from aigv_reward.training.quality_loss import mean_terms, quality_loss

NAN = float("nan")
CONFIG = SimpleNamespace(level_values=[5.0, 4.0, 3.0, 2.0, 1.0], logit_divisor=2.0)


def recipe(**values):
    given = {
        "rank_weight": 0.3,
        "rank_margin": 0.1,
        "absolute": "levels",
        "absolute_weight": 0.5,
        "pair_weight": 2.0,
        "tie_k": 4.0,
        "pair_scale": 1.5,
    }
    return SimpleNamespace(**given | values)


def batch() -> tuple[torch.Tensor, torch.Tensor, dict]:
    """Items 0..4, of which 1 and 3 are pairs (second videos 5 and 6); 2 dimensions."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 2, 5, dtype=torch.float64, generator=generator)
    scores = (logits / 2).softmax(-1) @ torch.tensor(CONFIG.level_values, dtype=torch.float64)
    targets = [[1.5, 4.0], [NAN, NAN], [3.0, NAN], [NAN, NAN], [4.5, NAN]]
    choices = [[NAN, NAN], [1.0, 0.0], [NAN, NAN], [NAN, -1.0], [NAN, NAN]]
    return (
        scores,
        logits,
        {
            "second": torch.tensor([-1, 5, -1, 6, -1]),
            "targets": torch.tensor(targets, dtype=torch.float64),
            "choices": torch.tensor(choices, dtype=torch.float64),
        },
    )


@pytest.mark.parametrize("absolute", ["levels", "huber", "none"])
def test_a_mixed_batch_term_by_term(absolute: str) -> None:
    """Column 0: rows 0, 2, 4 and pair 1 (A); column 1: row 0 and pairs 1 (same) and 3 (B)."""
    scores, logits, made = batch()
    args = recipe(absolute=absolute)
    rows, target = torch.tensor([0, 2, 4]), torch.tensor([1.5, 3.0, 4.5], dtype=torch.float64)

    def level(videos: torch.Tensor, column: int, wanted: torch.Tensor) -> torch.Tensor:
        if absolute == "none":
            return torch.zeros((), dtype=torch.float64)
        if absolute == "huber":
            return huber_loss(scores[videos, column], wanted)
        return level_cross_entropy(
            logits[videos, column] / 2, wanted, level_values=CONFIG.level_values
        )

    def pairs(first: list[int], second: list[int], column: int, choice: list[float]):
        return tie_aware_bradley_terry(
            scores[first, column], scores[second, column], torch.tensor(choice), tie_k=4, scale=1.5
        )

    left = plcc_loss(scores[rows, 0], target)
    left = left + 0.3 * rank_hinge(scores[rows, 0], target, margin=0.1)
    left = left + 0.5 * level(rows, 0, target)
    right = 0.5 * level(torch.tensor([0]), 1, torch.tensor([4.0], dtype=torch.float64))
    expected = 3 * left + 2.0 * pairs([1], [5], 0, [1.0])
    expected = expected + right + 2 * 2.0 * pairs([1, 3], [5, 6], 1, [0.0, -1.0])
    loss, parts = quality_loss(scores, logits, made, CONFIG, args)
    torch.testing.assert_close(loss, expected / 7, rtol=0, atol=1e-12)
    named = mean_terms(parts, ["technical", "motion"])
    present = {"technical_correlation", "technical_rank", "technical_pairs", "motion_pairs"}
    if absolute != "none":
        present |= {"technical_absolute", "motion_absolute"}
    assert set(named) == present
    assert named["motion_pairs"] == pytest.approx(pairs([1, 3], [5, 6], 1, [0.0, -1.0]).item())


def test_the_order_of_the_items_does_not_matter() -> None:
    scores, logits, made = batch()
    loss, _ = quality_loss(scores, logits, made, CONFIG, recipe())
    order = torch.tensor([3, 4, 0, 1, 2])
    videos = torch.cat([order, torch.tensor([5, 6])])
    turned = {name: value[order] for name, value in made.items()}
    other, _ = quality_loss(scores[videos], logits[videos], turned, CONFIG, recipe())
    torch.testing.assert_close(loss, other, rtol=0, atol=1e-12)


def test_the_published_loss_is_a_special_case() -> None:
    """One dimension, rows alone, no absolute term: plcc_loss + 0.3 * rank."""
    scores, logits, _ = batch()
    target = torch.linspace(1, 5, 7, dtype=torch.float64)
    made = {
        "second": torch.full((7,), -1),
        "targets": target[:, None],
        "choices": torch.full((7, 1), NAN),
    }
    args = recipe(absolute="none", rank_margin=0.0)
    loss, _ = quality_loss(scores[:, :1], logits[:, :1], made, CONFIG, args)
    expected = plcc_loss(scores[:, 0], target) + 0.3 * rank_hinge(scores[:, 0], target)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)


def test_equal_scores_have_no_correlation_whose_slope_would_drown_the_rest() -> None:
    scores = torch.full((3, 1), 3.0, requires_grad=True)
    made = {
        "second": torch.full((3,), -1),
        "targets": torch.tensor([[1.0], [2.0], [3.0]]),
        "choices": torch.full((3, 1), NAN),
    }
    loss, parts = quality_loss(scores, torch.zeros(3, 1, 5), made, CONFIG, recipe())
    (grad,) = torch.autograd.grad(loss, scores)
    assert parts[0, 0].tolist() == [0, 0]
    assert 0 < grad.abs().max() < 1


def test_nothing_said_costs_nothing() -> None:
    scores, logits, made = batch()
    made["targets"][:], made["choices"][:] = NAN, NAN
    loss, parts = quality_loss(scores, logits, made, CONFIG, recipe())
    assert loss == 0 and not parts.any()
    assert mean_terms(parts, ["technical", "motion"]) == {}


def test_an_opinion_off_the_scale_is_refused() -> None:
    scores, logits, made = batch()
    made["targets"][0, 0] = 6
    with pytest.raises(ValueError, match=r"targets span 3..6, the levels 1..5; rescale"):
        quality_loss(scores, logits, made, CONFIG, recipe())

"""The loss of a batch in which rows and pairs, and rows with different dimensions, are mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import huber_loss

from aigv_reward.model import AIGVRewardConfig
from aigv_reward.training.arguments import QualityTrainingArguments
from aigv_reward.training.losses import level_cross_entropy, plcc_loss, rank_hinge
from aigv_reward.training.pair_losses import tie_aware_bradley_terry

TERMS = ("correlation", "rank", "absolute", "pairs")

COLLAPSED = 1e-4
"""Spread of scores, in MOS points, below which they have no correlation: its slope is 1 / spread,
and would drown every other term."""


def quality_loss(
    scores: Tensor,
    level_logits: Tensor,
    batch: Mapping[str, Any],
    config: AIGVRewardConfig,
    args: QualityTrainingArguments,
) -> tuple[Tensor, Tensor]:
    """The weighted mean over everything that somebody said about the batch.

    A dimension with n rows and m pairs in the batch contributes
    n (correlation + rank_weight rank + absolute_weight absolute) + m pair_weight pairs, and the
    sum over dimensions is divided by that of all n + m. Correlation and rank compare the rows of
    this batch alone, which is what one process scores at once: neither accumulated batches nor
    other processes' rows take part, a single row has only its absolute term, and rows whose
    scores are all equal have no correlation.

    Args:
        scores: (V, D), of the videos of the batch.
        level_logits: (V, D, 5), before division by the divisor.
        batch: `second`, `targets` and `choices`, as `collate` makes them.
        config: gives level values and divisor.
        args: weights of the terms.

    Returns:
        the loss, and (D, 4, 2): of each term of `TERMS` its sum over rows or pairs, detached and
        without weights, and their number.

    Raises:
        ValueError: an opinion lies outside the range of the levels.
    """
    targets, choices = batch["targets"], batch["choices"]
    items, paired = len(targets), batch["second"] >= 0
    parts = torch.zeros(*targets.shape[1:], len(TERMS), 2, device=scores.device)
    total, count = scores.new_zeros(()), 0
    for column in range(targets.shape[1]):
        score, logits = scores[:items, column], level_logits[:items, column]
        rated, compared = ~targets[:, column].isnan(), ~choices[:, column].isnan() & paired
        rows, pairs = int(rated.sum()), int(compared.sum())
        count += rows + pairs
        terms: list[tuple[int, float, Tensor]] = []
        if rows:
            target = targets[rated, column]
            if rows > 1:
                if float(score[rated].detach().std()) > COLLAPSED:
                    terms.append((0, 1.0, plcc_loss(score[rated], target)))
                rank = rank_hinge(score[rated], target, margin=args.rank_margin)
                terms.append((1, args.rank_weight, rank))
            if args.absolute != "none":
                absolute = _absolute(score[rated], logits[rated], target, config, args.absolute)
                terms.append((2, args.absolute_weight, absolute))
        if pairs:
            first, second = score[compared], scores[batch["second"][compared], column]
            choice = choices[compared, column]
            likelihood = tie_aware_bradley_terry(
                first, second, choice, tie_k=args.tie_k, scale=args.pair_scale
            )
            terms.append((3, args.pair_weight, likelihood))
        for term, weight, value in terms:
            size = pairs if term == 3 else rows
            total = total + size * weight * value
            parts[column, term] = torch.stack([size * value.detach(), value.new_tensor(size)])
    return total / max(count, 1), parts


def _absolute(
    score: Tensor, logits: Tensor, target: Tensor, config: AIGVRewardConfig, kind: str
) -> Tensor:
    if kind == "huber":
        return huber_loss(score, target)
    return level_cross_entropy(
        logits / config.logit_divisor, target, level_values=config.level_values
    )


def mean_terms(parts: Tensor, dimensions: Sequence[str]) -> dict[str, float]:
    """{"technical_rank": mean, ...} of summed `quality_loss` parts, without those of no rows."""
    return {
        f"{name}_{term}": float(parts[row, column, 0] / parts[row, column, 1])
        for row, name in enumerate(dimensions)
        for column, term in enumerate(TERMS)
        if float(parts[row, column, 1]) > 0
    }

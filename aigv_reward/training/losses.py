"""What a quality model is trained on: correlation, order and the absolute level."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def plcc_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """(1 - rho) / 4 + (1 - rho^2) / 8 with rho Pearson's correlation over the batch.

    Args:
        scores: (B,), B at least 2.
        targets: (B,), opinion scores.

    Returns:
        scalar in [0, 0.5]; 0 for a perfect line.

    Raises:
        ValueError: fewer than 2 scores, which have no correlation.

    References: AIGVEval (arXiv 2506.04715), the reference implementation's training loss.
    """
    if scores.ndim != 1 or scores.shape != targets.shape or scores.numel() < 2:
        raise ValueError(
            f"scores {tuple(scores.shape)} and targets {tuple(targets.shape)} must be (B,) with "
            "B of 2 or more"
        )
    x, y = scores - scores.mean(), targets - targets.mean()
    rho = (x * y).sum() / (x.norm() * y.norm()).clamp(min=1e-8)
    return (1 - rho) / 4 + (1 - rho**2) / 8


def rank_hinge(scores: Tensor, targets: Tensor, *, margin: float = 0.0) -> Tensor:
    """Mean over ordered pairs of max(0, margin - (s_i - s_j)), where target i is above target j.

    The published training code meant this term but transposed a vector, which made it 0.

    Args:
        scores: (B,).
        targets: (B,).
        margin: distance at which a pair that is in order costs nothing, in units of the scores.

    Returns:
        scalar, 0 when no two targets differ.
    """
    better = targets[:, None] > targets[None, :]  # (B, B)
    hinge = (margin - (scores[:, None] - scores[None, :])).clamp(min=0)
    return (hinge * better).sum() / better.sum().clamp(min=1)


def level_cross_entropy(
    level_logits: Tensor, targets: Tensor, *, level_values: Sequence[float]
) -> Tensor:
    """Cross-entropy to the two levels that enclose each target, weighted by how near they are.

    Puts scores on the scale of the targets, which correlation and order leave free.

    Args:
        level_logits: (B, L), already divided by the checkpoint's logit divisor.
        targets: (B,), within the range of `level_values`.
        level_values: what each of the L levels is worth, rising or falling.

    Returns:
        scalar.

    Raises:
        ValueError: a target outside the range of the levels.
    """
    values = torch.tensor(level_values, dtype=targets.dtype, device=targets.device)
    low, high = float(values.min()), float(values.max())
    if bool(((targets < low) | (targets > high)).any()):
        raise ValueError(
            f"targets span {float(targets.min()):.3g}..{float(targets.max()):.3g}, the levels "
            f"{low:g}..{high:g}; rescale the opinion scores"
        )
    ordered, order = values.sort()
    upper = torch.searchsorted(ordered, targets.contiguous()).clamp(min=1, max=len(values) - 1)
    span = ordered[upper] - ordered[upper - 1]
    share = (targets - ordered[upper - 1]) / span  # of the upper level
    soft = torch.zeros_like(level_logits)
    soft.scatter_(1, order[upper - 1][:, None], (1 - share)[:, None].to(soft.dtype))
    soft.scatter_(1, order[upper][:, None], share[:, None].to(soft.dtype))
    return -(soft * level_logits.log_softmax(dim=1)).sum(dim=1).mean()

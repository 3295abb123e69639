"""The clipped policy-gradient loss of GRPO, and how far a step has moved from the reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GRPOLoss:
    """What one batch of steps taught.

    Attributes:
        loss: scalar, with the KL term.
        ratio: mean ratio of the new and the old probability; exactly 1 before the first update.
        clip_fraction: share of steps whose gradient the clip has cut off: the ratio is beyond the
            range, on the side the advantage pushes to.
        kl: mean KL to the reference; 0 where none was given.
        rows: steps that counted; where there are none, the figures above say nothing.
    """

    loss: Tensor
    ratio: float
    clip_fraction: float
    kl: float
    rows: int


def grpo_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    kl: Tensor | None = None,
    beta: float = 0.0,
    trains: Tensor | None = None,
    num_rows: float | None = None,
) -> GRPOLoss:
    """L = mean max(-A * ratio, -A * clip(ratio, 1 - low, 1 + high)) + beta * mean KL.

    The ratio is exp(log p - log p_old). Log-probabilities of video latents are means over their
    dimensions, so published clip ranges are 1e-3 to 1e-5.

    Args:
        log_probs: (B,) of the steps under the policy, with a graph.
        old_log_probs: (B,) when they were sampled; no gradient reaches them.
        advantages: (B,).
        clip_low: how far the ratio may fall under 1.
        clip_high: how far it may rise above 1.
        kl: (B,) of `gaussian_kl`; None: no reference.
        beta: weight of the KL.
        trains: (B,) bool, rows that count in every mean; None: all. Where none does, the loss is
            a 0 whose graph is kept, so that processes stay in step.
        num_rows: what the loss's sums are divided by, e.g. the rows that count in all processes
            over the number of processes; None: the rows that count here.

    Raises:
        ValueError: shapes that differ, a clip range that is negative or reaches ratio 0, a `beta`
            that is negative or has no `kl`, or `num_rows` that is not above 0.

    References: GRPO (arXiv 2402.03300); Flow-GRPO (arXiv 2505.05470), section 3.
    """
    _check(log_probs, old_log_probs=old_log_probs, advantages=advantages, kl=kl, trains=trains)
    if not (0 <= clip_low < 1 and 0 <= clip_high < torch.inf):
        raise ValueError(
            f"clip_low is {clip_low} and clip_high {clip_high}; the ratio is kept in "
            "[1 - clip_low, 1 + clip_high], so clip_low must be in [0, 1) and clip_high at least 0"
        )
    if not 0 <= beta < torch.inf:
        raise ValueError(f"beta is {beta}; it must be at least 0")
    if beta and kl is None:
        raise ValueError(f"beta is {beta}, but there is no kl; give one, or set beta to 0")
    rows = torch.ones_like(log_probs, dtype=torch.bool) if trains is None else trains
    if num_rows is not None and not 0 < num_rows < torch.inf:
        raise ValueError(f"num_rows is {num_rows}; it must be above 0")
    here = int(rows.sum())
    count = num_rows if num_rows is not None else max(here, 1)
    ratio = (log_probs - old_log_probs.detach()).exp()
    gain = -advantages.detach()
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = torch.maximum(gain * ratio, gain * clipped).where(rows, 0.0).sum() / count
    if kl is not None:
        loss = loss + beta * kl.where(rows, 0.0).sum() / count
    cut = ((ratio < 1 - clip_low) & (advantages < 0)) | ((ratio > 1 + clip_high) & (advantages > 0))
    return GRPOLoss(
        loss=loss,
        ratio=float(ratio.detach()[rows].mean()) if here else 1.0,
        clip_fraction=float((cut & rows).sum()) / max(here, 1),
        kl=float(kl.detach()[rows].mean()) if kl is not None and here else 0.0,
        rows=here,
    )


def gaussian_kl(mean: Tensor, reference_mean: Tensor, *, std: float | Tensor) -> Tensor:
    """(B,) KL between two Gaussians of one standard deviation, as a mean over dimensions.

    KL = mean |mean - mean_ref|^2 / (2 std^2). Where `std` is 0, as in the last step of a
    coefficient-preserving sampler, it is mean |mean - mean_ref|^2.

    Args:
        mean: (B, ...) of the step under the policy.
        reference_mean: (B, ...) under the reference; no gradient reaches it.
        std: of the step's noise, one or (B,).

    Raises:
        ValueError: shapes that differ, or a negative `std`.

    References: Flow-GRPO (arXiv 2505.05470), section 3; CPS (arXiv 2509.05952).
    """
    if mean.shape != reference_mean.shape:
        raise ValueError(
            f"mean has shape {tuple(mean.shape)} and reference_mean {tuple(reference_mean.shape)}; "
            "they must be alike"
        )
    wide = torch.promote_types(mean.dtype, torch.float32)
    deviation = torch.as_tensor(std, dtype=wide, device=mean.device)
    if deviation.ndim and deviation.shape != (len(mean),):
        raise ValueError(
            f"std has shape {tuple(deviation.shape)}; it must be one number or ({len(mean)},)"
        )
    if not bool((deviation >= 0).all()):
        raise ValueError(f"std is {deviation.tolist()}; it must be at least 0")
    squares = (mean.to(wide) - reference_mean.detach().to(wide)).square()
    distance = squares.flatten(1).mean(dim=1)
    return distance / torch.where(deviation > 0, 2 * deviation.square(), 1.0)


def _check(log_probs: Tensor, **others: Tensor | None) -> None:
    if log_probs.ndim != 1:
        raise ValueError(f"log_probs have shape {tuple(log_probs.shape)}; they must be (B,)")
    for name, other in others.items():
        if other is not None and other.shape != log_probs.shape:
            raise ValueError(
                f"{name} has shape {tuple(other.shape)} and log_probs {tuple(log_probs.shape)}; "
                "they must be alike"
            )

"""DiffusionNFT: reinforcement learning on the forward process, from final videos only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aigv_reward.integrations.finetune.flow_noise import Noised

LEAST_WEIGHT = 1e-5


@dataclass(frozen=True)
class NFTLoss:
    """What one batch of videos taught.

    Attributes:
        loss: scalar, with the reference term.
        positive: mean |x0+ - x0|^2 / w+ of the implicit positive policy.
        negative: mean |x0- - x0|^2 / w- of the implicit negative policy.
        reference: mean |v - v_ref|^2; 0 where no reference was given.
        moved: mean |v - v_old|^2, how far the policy has left the old one.
    """

    loss: Tensor
    positive: float
    negative: float
    reference: float
    moved: float


def optimality(advantages: Tensor, *, clip: float = 5.0) -> Tensor:
    """How good videos are, in [0, 1]: r = 0.5 + 0.5 * clamp(A / clip, -1, 1).

    Args:
        advantages: any shape.
        clip: advantage that counts as certain.

    Raises:
        ValueError: `clip` is not above 0.

    References: DiffusionNFT (arXiv 2509.16117), section 3.
    """
    if not 0 < clip < torch.inf:
        raise ValueError(f"clip is {clip}; it must be above 0")
    return 0.5 + 0.5 * (advantages / clip).clamp(-1, 1)


def nft_loss(
    prediction: Tensor,
    old: Tensor,
    clean: Tensor,
    noised: Noised,
    optimal: Tensor,
    *,
    beta: float,
    reference: Tensor | None = None,
    reference_weight: float = 0.0,
) -> NFTLoss:
    """L = mean [r |x0+ - x0|^2 / w+ + (1 - r) |x0- - x0|^2 / w-] / b + lambda mean |v - v_ref|^2.

    v+ = b v + (1 - b) v_old and v- = (1 + b) v_old - b v; x0+ and x0- are the clean latents they
    stand for, x_t - t v for flow matching. w = mean |x0+- - x0| of a video, without gradient and at
    least 1e-5, keeps the scale of the loss the same at every noise level. All means are over a
    video's dimensions, then over the batch.

    Args:
        prediction: (B, ...) what the denoiser says of the noisy latents, with a graph.
        old: (B, ...) what the old policy says of them, which sampled the videos; no gradient
            reaches it.
        clean: (B, ...) x0, latents of the sampled videos.
        noised: the noisy latents and how the denoiser's output turns into clean ones.
        optimal: (B,) r of `optimality`.
        beta: b, how far the implicit policies stand from the old one; 1 in most published runs.
        reference: (B, ...) what the frozen model says of the noisy latents.
        reference_weight: lambda.

    Raises:
        ValueError: shapes that differ, r outside [0, 1], a `beta` that is not above 0, or a
            `reference_weight` that is negative or has no `reference`.

    References: DiffusionNFT (arXiv 2509.16117), section 3. The published code multiplies
    the first term by the clip of its advantages, which scales the learning rate and lambda.
    """
    _check(prediction, old, clean, noised.latents, optimal, reference)
    if not 0 < beta < torch.inf:
        raise ValueError(f"beta is {beta}; it must be above 0")
    if not 0 <= reference_weight < torch.inf:
        raise ValueError(f"reference_weight is {reference_weight}; it must be at least 0")
    if reference_weight and reference is None:
        raise ValueError(
            f"reference_weight is {reference_weight}, but there is no reference; give one, or set "
            "it to 0"
        )
    wide = torch.promote_types(prediction.dtype, torch.float32)
    now, before, x0 = prediction.to(wide), old.detach().to(wide), clean.detach().to(wide)
    positive = _error(noised.clean(beta * now + (1 - beta) * before), x0)
    negative = _error(noised.clean((1 + beta) * before - beta * now), x0)
    r = optimal.detach().to(positive.dtype)
    loss = ((r * positive + (1 - r) * negative) / beta).mean()
    distance = 0.0
    if reference is not None:
        apart = (now - reference.detach().to(wide)).square().mean()
        loss = loss + reference_weight * apart
        distance = float(apart.detach())
    return NFTLoss(
        loss=loss,
        positive=float(positive.detach().mean()),
        negative=float(negative.detach().mean()),
        reference=distance,
        moved=float((now.detach() - before).square().mean()),
    )


def old_policy_decay(
    step: int, *, flat_steps: int = 0, rate: float = 0.001, limit: float = 0.5
) -> float:
    """How much of itself the old policy keeps at an update: old = d * old + (1 - d) * policy.

    d = min(rate * (step - flat_steps), limit), and 0 before: early on the old policy follows at
    once, later it lags, which keeps training stable.

    Args:
        step: updates done so far.
        flat_steps: updates with d = 0.
        rate: growth of d an update.
        limit: of d.

    Raises:
        ValueError: a negative `step`, `flat_steps` or `rate`, or `limit` outside [0, 1).

    References: DiffusionNFT (arXiv 2509.16117) and its code's schedules: rate 0.001 up
    to 0.5; or flat for 75, then 0.0075 up to 0.999.
    """
    if step < 0 or flat_steps < 0 or rate < 0:
        raise ValueError(
            f"step is {step}, flat_steps {flat_steps} and rate {rate}; they must be at least 0"
        )
    if not 0 <= limit < 1:
        raise ValueError(f"limit is {limit}; it must be in [0, 1), or the old policy stands still")
    return min(rate * max(step - flat_steps, 0), limit)


def _error(estimate: Tensor, x0: Tensor) -> Tensor:
    """(B,) mean squared error over w, the mean absolute error without gradient."""
    apart = (estimate - x0).flatten(1)
    weight = apart.detach().abs().mean(dim=1).clamp_min(LEAST_WEIGHT)
    return apart.square().mean(dim=1) / weight


def _check(
    prediction: Tensor,
    old: Tensor,
    clean: Tensor,
    noisy: Tensor,
    optimal: Tensor,
    reference: Tensor | None,
) -> None:
    given = {"old": old, "clean": clean, "noised": noisy, "reference": reference}
    for name, other in given.items():
        if other is not None and other.shape != prediction.shape:
            raise ValueError(
                f"{name} has shape {tuple(other.shape)} and prediction {tuple(prediction.shape)}; "
                "they must be alike"
            )
    if optimal.shape != (len(prediction),):
        raise ValueError(
            f"optimal has shape {tuple(optimal.shape)}; it must be ({len(prediction)},)"
        )
    if not bool(((optimal >= 0) & (optimal <= 1)).all()):
        raise ValueError(f"optimal is {optimal.tolist()}; it must be in [0, 1]: see optimality")

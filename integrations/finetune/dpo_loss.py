"""Direct preference optimisation of a denoiser on pairs of videos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True)
class DPOLoss:
    """What one batch of pairs taught.

    Attributes:
        loss: scalar; ln 2 where the policy is the reference.
        accuracy: share of pairs in which the policy has moved towards the chosen video more than
            towards the rejected one.
        margin: mean implicit reward of the chosen video minus that of the rejected one.
        chosen_reward: mean of -beta / 2 * (e - e_ref) of the chosen videos.
        rejected_reward: of the rejected ones.
    """

    loss: Tensor
    accuracy: float
    margin: float
    chosen_reward: float
    rejected_reward: float


def denoising_error(prediction: Tensor, target: Tensor) -> Tensor:
    """(B,) mean squared error over ALL dimensions but the first, in float32 or wider.

    A sum would scale with the size of the video and so would what `beta` means.

    Args:
        prediction: (B, ...) what the denoiser says: velocity, noise or v.
        target: (B, ...) what it should say.

    Raises:
        ValueError: shapes that differ, or nothing but a batch dimension.
    """
    if prediction.shape != target.shape or prediction.ndim < 2:
        raise ValueError(
            f"prediction has shape {tuple(prediction.shape)} and target {tuple(target.shape)}; "
            "both must be the same (B, ...)"
        )
    wide = torch.promote_types(prediction.dtype, torch.float32)
    return (prediction.to(wide) - target.to(wide)).square().flatten(1).mean(dim=1)


def dpo_loss(
    chosen: Tensor,
    rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
    margin: Tensor | None = None,
) -> DPOLoss:
    """L = mean -log sigmoid(-beta / 2 * [(e_w - e_ref_w) - (e_l - e_ref_l)] - margin).

    e are `denoising_error`s with the same noise at the same timestep within a pair; Diffusion-DPO
    takes them of the noise, Flow-DPO of the velocity, with one `beta` for all timesteps.

    Args:
        chosen: (P,) errors of the policy on the better video of each pair.
        rejected: (P,) on the worse one.
        reference_chosen: (P,) errors of the reference on the better one; no gradient reaches them.
        reference_rejected: (P,) on the worse one.
        beta: how strongly the policy is held to the reference: the larger, the smaller the move
            that satisfies a pair. Published video runs used 100 to 5000.
        margin: (P,) by which the implicit reward of the better video must exceed the other's;
            None: 0.

    Raises:
        ValueError: shapes that differ, no pairs, or a `beta` that is not above 0.

    References: Diffusion-DPO (arXiv 2311.12908), equation 14; Flow-DPO, "Improving Video Generation
    with Human Feedback" (arXiv 2501.13918), section 4.
    """
    given = {
        "chosen": chosen,
        "rejected": rejected,
        "reference_chosen": reference_chosen,
        "reference_rejected": reference_rejected,
        "margin": margin,
    }
    for name, column in given.items():
        if column is not None and (column.ndim != 1 or column.shape != chosen.shape):
            raise ValueError(
                f"{name} has shape {tuple(column.shape)} and chosen {tuple(chosen.shape)}; all "
                "must be (P,)"
            )
    if not len(chosen):
        raise ValueError("there are no pairs; give at least one")
    if not 0 < beta < torch.inf:
        raise ValueError(f"beta is {beta}; it must be above 0")
    better = -beta / 2 * (chosen - reference_chosen.detach())
    worse = -beta / 2 * (rejected - reference_rejected.detach())
    difference = better - worse
    wanted = difference if margin is None else difference - margin
    settled = difference.detach()
    return DPOLoss(
        loss=-logsigmoid(wanted).mean(),
        accuracy=float((settled > 0).float().mean()),
        margin=float(settled.mean()),
        chosen_reward=float(better.detach().mean()),
        rejected_reward=float(worse.detach().mean()),
    )

"""Group-relative advantages: how much better a video is than the others of its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Combine = Literal["normalise_then_sum", "sum_then_normalise"]

EPSILON = 1e-4  # added to the standard deviation
CLAMP = 5.0


@dataclass(frozen=True)
class Advantages:
    """Advantages of N videos, whole groups in order.

    Attributes:
        values: (N,), 0 where a video has no reward and in dropped groups.
        valid: (N,) bool, whether the video has a reward.
        trains: (N,) bool, whether it is valid and its group carries signal.
        failed: videos without a reward.
        dropped_groups: groups that carry no signal: fewer than two valid videos, or rewards that
            do not vary.
        zero_variance_share: of the groups with two valid videos or more, the share whose rewards
            do not vary; 0 where there is no such group.
    """

    values: Tensor
    valid: Tensor
    trains: Tensor
    failed: int
    dropped_groups: int
    zero_variance_share: float


def group_advantages(
    rewards: Mapping[str, Tensor],
    *,
    group_size: int,
    weights: Mapping[str, float] | None = None,
    combine: Combine = "normalise_then_sum",
    valid: Tensor | None = None,
    min_std: float = 1e-6,
) -> Advantages:
    """Advantages of every video within its group, by one reward or several.

    For one reward, A = clamp((r - mean) / (std + 1e-4), -5, 5) with the mean and the population
    standard deviation of the group's valid videos. With several, "normalise_then_sum" normalises
    each reward in its group, then weights and sums, so that none dominates by its scale (GDPO);
    "sum_then_normalise" weights and sums the rewards as they are. The sum is clamped.

    Where several processes each scored a part, gather the parts first: the function is pure, so
    every process comes to the same result.

    Args:
        rewards: {name: (N,)}, higher is better; what stands in rows that are not valid is not read.
        group_size: videos of a group; row i belongs to group i // group_size.
        weights: {name: weight} of the rewards that count; None: all count 1.
        combine: order of normalising and summing.
        valid: (N,) bool, False where there is no reward; None: all have one.
        min_std: rewards of a group with a standard deviation up to this do not vary.

    Raises:
        ValueError: no rewards, lengths that differ or are no multiple of `group_size`, a group of
            fewer than two, a weight for a reward that is not there or that is not finite, no
            weight but 0, an unknown `combine`, or a valid reward that is not finite.

    References: Flow-GRPO (arXiv 2505.05470), section 3; GDPO (arXiv 2601.05242).
    """
    columns, valid = _checked(rewards, group_size, weights, combine, valid)
    grouped = valid.cpu().reshape(-1, group_size)  # (G, K)
    if combine == "sum_then_normalise":
        total = torch.stack(list(columns.values())).sum(dim=0)
        combined, varies = _normalised(total.reshape(-1, group_size), grouped, min_std)
    else:
        names = list(columns)
        scale = weights if weights is not None else dict.fromkeys(names, 1.0)
        parts = [
            _normalised(columns[name].reshape(-1, group_size), grouped, min_std) for name in names
        ]
        combined = torch.stack(
            [scale[name] * part for name, (part, _) in zip(names, parts, strict=True)]
        ).sum(dim=0)
        varies = torch.stack([one for _, one in parts]).any(dim=0)
    enough = grouped.sum(dim=1) >= 2  # (G,); a group of fewer does not vary
    judged = int(enough.sum())
    first = next(iter(rewards.values()))
    values = combined.clamp(-CLAMP, CLAMP) * varies[:, None]
    return Advantages(
        values=values.flatten()
        .to(torch.promote_types(first.dtype, torch.float32))
        .to(first.device),
        valid=valid,
        trains=(grouped & varies[:, None]).flatten().to(valid.device),
        failed=int((~valid).sum()),
        dropped_groups=int((~varies).sum()),
        zero_variance_share=float((enough & ~varies).sum()) / judged if judged else 0.0,
    )


def best_and_worst(advantages: Advantages, *, group_size: int, keep: int) -> Tensor:
    """(N,) bool: of each group that trains, the `keep` / 2 best and the `keep` / 2 worst videos.

    Videos of equal advantage are taken in order. A group of `keep` valid videos or fewer keeps all
    of them; dropped groups keep none.

    Args:
        advantages: of whole groups.
        group_size: as for `group_advantages`.
        keep: videos kept of a group, an even number.

    Raises:
        ValueError: `keep` is odd, below 2 or above `group_size`.

    References: DanceGRPO (arXiv 2505.07818) trains on the best and worst k of n this way.
    """
    if keep < 2 or keep % 2 or keep > group_size:
        raise ValueError(
            f"keep is {keep}; it must be even, at least 2 and at most group_size {group_size}"
        )
    values = advantages.values.reshape(-1, group_size)
    trains = advantages.trains.reshape(-1, group_size)
    order = torch.where(trains, values, torch.inf).argsort(dim=1, stable=True)  # the worst first
    places = torch.empty_like(order).scatter_(
        1, order, torch.arange(group_size, device=order.device).expand_as(order)
    )
    count = trains.sum(dim=1, keepdim=True)
    kept = (places < keep // 2) | (places >= count - keep // 2)
    return (kept & trains).flatten()


def _checked(
    rewards: Mapping[str, Tensor],
    group_size: int,
    weights: Mapping[str, float] | None,
    combine: str,
    valid: Tensor | None,
) -> tuple[dict[str, Tensor], Tensor]:
    """The rewards that count in float64, 0 where not valid; weighted where summed as they are."""
    if not rewards:
        raise ValueError("there are no rewards; give {name: (N,)} of at least one")
    if combine not in get_args(Combine):
        raise ValueError(f"combine is {combine!r}; choose from {', '.join(get_args(Combine))}")
    if group_size < 2:
        raise ValueError(f"group_size is {group_size}; advantages need a group of at least 2")
    first_name, first = next(iter(rewards.items()))
    count = len(first)
    for name, column in rewards.items():
        if column.shape != (count,):
            raise ValueError(
                f"reward {name!r} has shape {tuple(column.shape)} and {first_name!r} has "
                f"{tuple(first.shape)}; all must be (N,)"
            )
    if count == 0 or count % group_size:
        raise ValueError(
            f"there are {count} rewards, no whole number of groups of {group_size}; gather whole "
            "groups first"
        )
    if valid is None:
        valid = torch.ones(count, dtype=torch.bool, device=first.device)
    if valid.shape != (count,) or valid.dtype != torch.bool:
        raise ValueError(
            f"valid is {valid.dtype} of shape {tuple(valid.shape)}; it must be bool of shape "
            f"({count},)"
        )
    counted = _counted(rewards, weights)
    columns = {}
    for name, weight in counted.items():
        column = rewards[name].detach().cpu().double()  # float64: not every accelerator has it
        wrong = valid.cpu() & ~column.isfinite()
        if wrong.any():
            row = int(wrong.nonzero()[0])
            raise ValueError(
                f"reward {name!r} of row {row} is {float(column[row])}; mask a failed row with "
                "valid"
            )
        scale = weight if combine == "sum_then_normalise" else 1.0
        columns[name] = scale * column.where(valid.cpu(), 0.0)
    return columns, valid


def _counted(
    rewards: Mapping[str, Tensor], weights: Mapping[str, float] | None
) -> dict[str, float]:
    if weights is None:
        return dict.fromkeys(rewards, 1.0)
    for name, weight in weights.items():
        if name not in rewards:
            raise ValueError(
                f"weights have {name!r}, which is no reward; there are {', '.join(rewards)}"
            )
        if not abs(weight) < torch.inf:
            raise ValueError(f"the weight of {name!r} is {weight}; it must be finite")
    counted = {name: float(weight) for name, weight in weights.items() if weight != 0}
    if not counted:
        raise ValueError("all weights are 0; give one reward another weight")
    return counted


def _normalised(values: Tensor, valid: Tensor, min_std: float) -> tuple[Tensor, Tensor]:
    """(G, K) normalised in its group, 0 where not valid or without variance, and (G,) varies."""
    count = valid.sum(dim=1, keepdim=True).clamp_min(1)
    mean = (values * valid).sum(dim=1, keepdim=True) / count
    centred = (values - mean) * valid
    std = (centred.square().sum(dim=1, keepdim=True) / count).sqrt()
    varies = std > min_std  # (G, 1)
    return centred / (std + EPSILON) * varies, varies.squeeze(1)

"""How every integration calls a reward: total and dimensions of a batch, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aigv_reward import RewardFn, VideoReward

_PLAIN = "reward"  # what a plain tensor is called


@dataclass(frozen=True)
class BatchScores:
    """What a reward says of a batch, differentiable in the frames where the reward is.

    Attributes:
        total: (B,), what is maximised.
        values: {name: (B,)}, what the reward returned by name; "reward" for a plain tensor.
    """

    total: Tensor
    values: dict[str, Tensor]


def scores_of(
    reward: RewardFn,
    frames: Tensor,
    prompts: Sequence[str | None] | None,
    *,
    fps: float | Tensor | None = None,
    weights: Mapping[str, float] | None = None,
) -> BatchScores:
    """Total and dimensions of a batch in one call of the reward, in the caller's grad mode.

    Args:
        reward: any reward.
        frames: (B, T, 3, H, W) in [0, 1].
        prompts: one text or None a video, or None.
        fps: frames per second, for rewards that sample by time.
        weights: {dimension: weight} of the total; None: a `VideoReward`'s own, or the "overall" of
            a reward that returns one.

    Raises:
        ValueError: what `values_of` refuses; `weights` for a reward that returns a plain tensor,
            or that name a dimension it does not return; a reward by dimension without "overall"
            and no `weights`.
    """
    _check_weights(weights)
    if isinstance(reward, VideoReward) and weights is None:
        weights = dict(reward.weights)  # type: ignore[arg-type]
    returned = _returned(reward, frames, prompts, fps, weights)
    values = _checked_values(returned, len(frames))
    if isinstance(returned, Tensor):
        if weights is not None:
            raise ValueError(
                f"weights of {', '.join(weights)} need a reward that returns "
                f"{{dimension: (B,)}}; this one returned a tensor, so leave weights out"
            )
        return BatchScores(total=values[_PLAIN], values=values)
    if weights is None:
        if "overall" not in values:
            raise ValueError(
                f"the reward returned {', '.join(values)} and no 'overall'; say what counts with "
                "weights={dimension: weight}"
            )
        return BatchScores(total=values["overall"], values=values)
    for name in weights:
        if name not in values:
            raise ValueError(
                f"weights have {name!r}, which the reward does not return; it returned "
                f"{', '.join(values)}"
            )
    columns = [values[name] * float(weight) for name, weight in weights.items()]
    return BatchScores(total=torch.stack(columns).sum(dim=0), values=values)


def values_of(
    reward: RewardFn,
    frames: Tensor,
    prompts: Sequence[str | None] | None,
    *,
    fps: float | Tensor | None = None,
) -> dict[str, Tensor]:
    """{dimension: (B,)} of a batch, for what needs no total; {"reward": (B,)} of a plain tensor.

    A `VideoReward` gives the dimensions that its checkpoint was trained to answer (and, if it is
    calibrated, is calibrated in), and those weighted: they cost no more than one.

    Args:
        reward: any reward.
        frames: (B, T, 3, H, W) in [0, 1].
        prompts: one text or None a video, or None.
        fps: frames per second, for rewards that sample by time.

    Raises:
        ValueError: scores of another shape, that are not floating point, or not finite.
    """
    weights: Any = reward.weights if isinstance(reward, VideoReward) else None
    return _checked_values(_returned(reward, frames, prompts, fps, weights), len(frames))


def _returned(
    reward: RewardFn,
    frames: Tensor,
    prompts: Sequence[str | None] | None,
    fps: float | Tensor | None,
    weights: Mapping[str, float] | None,
) -> Any:
    if not isinstance(reward, VideoReward):
        return reward(frames, prompts, fps=fps)
    assert weights is not None
    names: Any = _names(reward, weights)
    return reward.by_dimension(frames, prompts, fps=fps, dimensions=names)


def _names(reward: VideoReward, weights: Mapping[str, float]) -> list[str]:
    """Dimensions to ask for, in the reward's order; unknown ones last, for the reward to refuse."""
    calibration = reward.model.config.calibration or {}
    told = [name for name in reward.trained if not reward.calibrated or name in calibration]
    known: list[str] = [n for n in reward.dimensions if n in told or n in weights]
    return [*known, *(name for name in weights if name not in known)]


def counted_weights(
    dimensions: Sequence[str] | None, weights: Mapping[str, float] | None
) -> Mapping[str, float] | None:
    """The weights of a total: those given, or equal ones of the dimensions, whose mean it then is.

    Raises:
        ValueError: both, no dimension, or one text.
    """
    if dimensions is None:
        return weights
    if weights is not None:
        raise ValueError("give dimensions or weights, not both")
    if not dimensions or isinstance(dimensions, str):
        raise ValueError(f"dimensions are {dimensions!r}; name at least one, in a list")
    return {name: 1 / len(dimensions) for name in dimensions}


def _check_weights(weights: Mapping[str, float] | None) -> None:
    if weights is None:
        return
    if not weights:
        raise ValueError("weights are empty; name a dimension, or pass None")
    for name, weight in weights.items():
        if not math.isfinite(weight):
            raise ValueError(f"the weight of {name!r} is {weight}; it must be finite")


def _checked_values(returned: Any, batch: int) -> dict[str, Tensor]:
    if isinstance(returned, Tensor):
        return {_PLAIN: _checked(_PLAIN, returned, batch)}
    if not isinstance(returned, Mapping) or not returned:
        raise ValueError(
            f"the reward returned {type(returned).__name__} {str(returned)[:80]}; it must return "
            "a (B,) tensor or {dimension: (B,) tensor}"
        )
    return {name: _checked(name, value, batch) for name, value in returned.items()}


def _checked(name: str, value: Any, batch: int) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"the reward's {name!r} is {kind}; it must be a floating point tensor")
    if value.shape != (batch,):
        raise ValueError(
            f"the reward's {name!r} has shape {tuple(value.shape)} for {batch} videos; it must "
            f"be ({batch},)"
        )
    finite = torch.isfinite(value.detach())
    if not bool(finite.all()):
        rows = ", ".join(str(row) for row in torch.nonzero(~finite).flatten().tolist())
        raise ValueError(f"the reward's {name!r} is not finite for video {rows} of the batch")
    return value


def within_range(frames: Tensor) -> Tensor:
    """Frames clamped to [0, 1], whose pixels outside keep their gradient.

    A plain clamp would leave a saturated pixel without gradient for ever; none at all would let a
    reward pay for pixels that no screen shows.
    """
    return frames + (frames.clamp(0, 1) - frames).detach()

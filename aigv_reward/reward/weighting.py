"""Calibration of scores and their weighted sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from aigv_reward.dimensions import Dimension
from aigv_reward.model import AIGVRewardConfig


def check_dimensions(names: Any, scored: Sequence[Dimension], what: str) -> None:
    """Raise unless each of `names`, which the caller knows as `what`, is scored.

    Raises:
        ValueError: no names, one string, or a dimension that is not scored.
    """
    known = ", ".join(scored)
    if not names:
        raise ValueError(f"{what} are empty; name one or more of {known}")
    if isinstance(names, str):
        raise ValueError(f"{what} is one string {names!r}; wrap it in [ ]")
    for name in names:
        if name not in scored:
            raise ValueError(f"unknown dimension {name!r}; this reward scores {known}")


def check_calibration(config: AIGVRewardConfig, names: Iterable[Dimension]) -> None:
    """Raise unless the checkpoint is calibrated in the named dimensions.

    Raises:
        ValueError: it has no calibration, or none for one of them.
    """
    if config.calibration is None:
        raise ValueError("this checkpoint has no calibration; use calibrated=False")
    for name in names:
        if name not in config.calibration:
            raise ValueError(
                f"no calibration for {name!r}, only for {', '.join(config.calibration)}; "
                "score those, or use calibrated=False"
            )


def calibrate(
    values: Mapping[Dimension, Tensor], config: AIGVRewardConfig
) -> dict[Dimension, Tensor]:
    """z-scores against the reference set that travels with a checkpoint.

    Raises:
        ValueError: see `check_calibration`.
    """
    check_calibration(config, values)
    assert config.calibration is not None
    return {
        name: (value - config.calibration[name]["mean"]) / config.calibration[name]["std"]
        for name, value in values.items()
    }


def weighted_sum(values: Mapping[Dimension, Tensor], weights: Mapping[Dimension, float]) -> Tensor:
    """(B,), the sum of weight times score; the weights are not normalised."""
    return torch.stack([values[name] * weight for name, weight in weights.items()]).sum(dim=0)

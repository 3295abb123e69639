"""Calibration of scores and their weighted sum."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from aigv_reward.dimensions import Dimension
from aigv_reward.model import AIGVRewardConfig


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

"""The one callable that every integration depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor


class RewardFn(Protocol):
    """What every integration asks of a reward.

    frames (B, T, 3, H, W) in [0, 1], one prompt or None a video, frames per second; back comes one
    (B,) tensor, higher is better, or one a dimension.
    """

    def __call__(
        self,
        frames: Tensor,
        prompts: Sequence[str | None] | None,
        *,
        fps: float | Tensor | None = None,
    ) -> Tensor | Mapping[str, Tensor]: ...

"""Latents to frames, for every VAE family."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def decode_latents(
    pipe: Any,
    latents: Tensor,
    *,
    height: int | None = None,
    width: int | None = None,
    num_frames: int | None = None,
    window: slice | None = None,
    checkpoint: bool = True,
    chunk: int | None = None,
) -> Tensor:
    """The video that a pipeline's latents decode to, unclamped and differentiable."""
    raise NotImplementedError


def register_latents(vae_class: type, **statistics: Any) -> None:
    """Makes `decode_latents` know a VAE."""
    raise NotImplementedError

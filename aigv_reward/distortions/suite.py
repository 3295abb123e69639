"""The distortions by name, and the one function that applies them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from aigv_reward.distortions import motion, semantic, technical

SEVERITIES = (1, 2, 3, 4)


@dataclass(frozen=True)
class Distortion:
    """A degradation with four severities.

    Attributes:
        name: key in `DISTORTIONS`.
        dimension: the quality dimension it lowers most: technical, motion or semantic.
        apply: (frames uint8 (T, 3, H, W), severity 1..4, generator, fps) -> uint8, same shape.
    """

    name: str
    dimension: str
    apply: Callable[[Tensor, int, Generator, float], Tensor]


_BY_DIMENSION = {
    "technical": (
        technical.noise,
        technical.blur,
        technical.compression,
        technical.resolution,
        technical.banding,
    ),
    "motion": (
        motion.jitter,
        motion.freeze,
        motion.frame_drop,
        motion.shuffle,
        motion.flicker,
        motion.low_dynamic,
    ),
    "semantic": (semantic.region_swap, semantic.warp, semantic.identity_change),
}
DISTORTIONS = {
    apply.__name__: Distortion(apply.__name__, dimension, apply)
    for dimension, functions in _BY_DIMENSION.items()
    for apply in functions
}


def distort(
    frames: Tensor, name: str, severity: int, *, generator: Generator, fps: float = 16.0
) -> Tensor:
    """A degraded copy of a clip.

    Each distortion draws its variant (kernel, codec, direction, places) before it looks at the
    severity and always draws the same amount, so that generators seeded alike give the same
    degradation at every severity, only stronger. Distortions of motion that rearrange frames do
    nothing to a still clip.

    Args:
        frames: uint8 (T, 3, H, W).
        name: a key of `DISTORTIONS`.
        severity: 0 (the clip itself) to 4.
        generator: source of the variant and of the noise.
        fps: frames per second, told to the codecs.

    Returns:
        uint8 (T, 3, H, W).

    Raises:
        ValueError: an unknown name, a severity outside 0..4, or frames of another kind.
    """
    if name not in DISTORTIONS:
        raise ValueError(f"unknown distortion {name!r}; choose one of {', '.join(DISTORTIONS)}")
    if severity not in (0, *SEVERITIES):
        raise ValueError(f"severity is {severity}; choose 0 (none), 1, 2, 3 or 4")
    if frames.dtype != torch.uint8 or frames.dim() != 4 or frames.shape[1] != 3 or not len(frames):
        raise ValueError(
            f"frames are {frames.dtype} {tuple(frames.shape)}; pass uint8 (T, 3, H, W), T >= 1"
        )
    if severity == 0:
        return frames
    return DISTORTIONS[name].apply(frames, severity, generator, fps)

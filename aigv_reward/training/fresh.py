"""Severity ladders of the pool's clips, made afresh for every step of training.

They are small: the whole frame at the sides that motion and semantic views have, so that a ladder
costs a fraction of a second. What depends on single pixels is learned from `training.ladders`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import safe_open
from torch import Generator, Tensor
from torch.utils.data import Dataset

from aigv_reward.dimensions import Dimension
from aigv_reward.distortions import DISTORTIONS, distort
from aigv_reward.distortions.codec import round_trip
from aigv_reward.distortions.draws import choose, integer, uniform
from aigv_reward.training.ladders import LadderInfo, harmless
from aigv_reward.views import ViewSampling
from aigv_reward.views.resize import resize

RUNGS = 3
OWN_SHARE = 0.8  # of the ladders degrade a dimension that is being learned
Encoder = Literal["motion", "semantic"]
LEARNED: dict[Encoder, tuple[Dimension, ...]] = {
    "motion": ("motion", "semantic"),
    "semantic": ("semantic",),
}
DEGRADED: tuple[Dimension, ...] = ("technical", "motion", "semantic")
LEAST_FRAMES = 14


@dataclass(frozen=True)
class FreshLadder:
    """One content at a few severities.

    Attributes:
        info: what was done to it.
        view: (RUNGS, T, 3, S, S) uint8, what the encoder sees of it.
    """

    info: LadderInfo
    view: Tensor


class FreshLadders(Dataset[FreshLadder]):
    """Ladder i, for any i, from the pool's clips; it follows from the seed and i alone.

    Args:
        paths: clips that `training.pool` wrote.
        sampling: gives the frames and sides of the views.
        encoder: "motion" or "semantic".
        length: how many ladders there are.
        seed: of all draws.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        sampling: ViewSampling,
        encoder: Encoder,
        *,
        length: int,
        seed: int,
    ) -> None:
        self.paths, self.sampling, self.encoder = paths, sampling, encoder
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> FreshLadder:
        generator = Generator().manual_seed(self.seed * 1_000_003 + index)
        with safe_open(self.paths[integer(0, len(self.paths) - 1, generator)], "pt") as file:
            caption = file.metadata()["caption"]
            frames = file.get_tensor("frames")
        return fresh_ladder(frames, caption, index, self.sampling, self.encoder, generator)


def fresh_ladder(
    clip: Tensor,
    caption: str,
    number: int,
    sampling: ViewSampling,
    encoder: Encoder,
    generator: Generator,
) -> FreshLadder:
    """A ladder of a random part of a clip, most often of a dimension that the encoder learns.

    The semantic tower's key frames are degraded by themselves, which costs an eighth.
    """
    frames = _with_grain(_part(clip, generator), generator)
    plan, side = sampling.fast, sampling.fast_size
    if encoder == "semantic":
        plan, side = sampling.key_frames, sampling.key_size
        frames = frames[plan.indices(len(frames))]
    learned = LEARNED[encoder]
    others = [name for name in DEGRADED if name not in learned]
    dimension = choose(learned if uniform(0, 1, generator) < OWN_SHARE else others, generator)
    own = sorted(name for name, d in DISTORTIONS.items() if d.dimension == dimension)
    elsewhere = sorted(name for name, d in DISTORTIONS.items() if d.dimension != dimension)
    name, other = choose(own, generator), choose(elsewhere, generator)
    seed, other_seed = (integer(0, 2**31 - 1, generator) for _ in range(2))
    other_severity = integer(1, 4, generator)
    if integer(0, 2, generator):
        other_severity = 0
    severities = torch.randperm(5, generator=generator)[:RUNGS].sort().values.tolist()
    views = []
    for severity in severities:
        rung = distort(frames, name, severity, generator=Generator().manual_seed(seed))
        second = Generator().manual_seed(other_seed)
        rung = _recorded(distort(rung, other, other_severity, generator=second), generator)
        if encoder == "motion":
            rung = rung[plan.indices(len(rung))]
        views.append(resize(rung, (side, side)))
    info = LadderInfo(
        number=number,
        distortion=name,
        other=other if other_severity else None,
        other_severity=other_severity,
        caption=caption,
        severities=tuple(severities),
    )
    return FreshLadder(info, torch.stack(views))


def _part(clip: Tensor, generator: Generator) -> Tensor:
    """A stretch of time and a crop, in other colours, and now and then backwards."""
    length = integer(LEAST_FRAMES, len(clip), generator)
    stride = integer(1, min(3, len(clip) // length), generator)
    first = integer(0, len(clip) - (length - 1) * stride - 1, generator)
    side = integer(112, clip.shape[-1], generator)
    y, x = (integer(0, clip.shape[-1] - side, generator) for _ in range(2))
    frames = clip[first : first + (length - 1) * stride + 1 : stride, :, y : y + side, x : x + side]
    if integer(0, 3, generator) == 0:
        frames = frames.flip(0)
    gain = 1 + 0.2 * (torch.rand(3, 1, generator=generator) - 0.5)
    power = 2.0 ** uniform(-0.6, 0.6, generator)
    levels = (torch.arange(256) / 255)[None] ** power * gain
    table = (levels * 255).round().clamp(0, 255).to(torch.uint8)
    return torch.stack([table[c][frames[:, c].long()] for c in range(3)], dim=1)


def _with_grain(frames: Tensor, generator: Generator) -> Tensor:
    """A sensor's noise, before anything happens to the clip: what is frozen freezes its grain."""
    sigma = uniform(0, 2.5, generator) if integer(0, 2, generator) else 0.0
    noise = torch.randn(frames.shape, generator=generator)
    return noise.mul_(sigma).add_(frames).add_(0.5).clamp_(0, 255).to(torch.uint8)


def _recorded(frames: Tensor, generator: Generator) -> Tensor:
    """Harmless changes, and now and then traces of a codec, which motion must see through."""
    frames = harmless(frames, generator)
    if integer(0, 3, generator) == 0:
        quality = integer(16, 27, generator)
        frames = round_trip(frames, codec="libx264", quality=quality, preset="ultrafast")
    return frames

"""Where objects go: drifts, hops, swings and turns, and parts that ride on other parts."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aigv_reward.distortions.sprites import Motion


@dataclass(frozen=True)
class Path:
    """Where an object is: a drift over the clip plus a swing.

    Attributes:
        start, travel: (x, y) in world pixels, at the middle of the clip and over the whole of it.
        swing: (x, y) amplitude in world pixels.
        cycles: swings over the clip.
        phase: of the swing, radians.
        hop: the vertical swing is a row of hops.
        angle, turn, rock: radians: at the middle, over the clip, amplitude.
        num_frames: length of the clip.
    """

    start: tuple[float, float]
    travel: tuple[float, float]
    swing: tuple[float, float]
    cycles: float
    phase: float
    hop: bool
    angle: float
    turn: float
    rock: float
    num_frames: int

    def __call__(self, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        u = times / max(self.num_frames - 1, 1) - 0.5
        wave = torch.sin(2 * torch.pi * self.cycles * u + self.phase)
        other = torch.cos(2 * torch.pi * self.cycles * u + self.phase)
        x = self.start[0] + self.travel[0] * u + self.swing[0] * other
        lift = -(wave**2) if self.hop else wave
        y = self.start[1] + self.travel[1] * u + self.swing[1] * lift
        return x, y, self.angle + self.turn * u + self.rock * wave


def attached(
    parent: Motion, offset: tuple[float, float], *, rock: float = 0.0, rate: float = 0.0,
    phase: float = 0.0, angle: float = 0.0, spin: float = 0.0,
) -> Motion:  # fmt: skip
    """Motion of a part fixed at `offset` on a parent, rocking at `rate` or spinning (rad/frame)."""

    def motion(times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, y, turn = parent(times)
        cos, sin = turn.cos(), turn.sin()
        own = angle + spin * times + rock * torch.sin(rate * times + phase)
        return (
            x + cos * offset[0] - sin * offset[1],
            y + sin * offset[0] + cos * offset[1],
            turn + own,
        )

    return motion


def draw_path(
    rng: np.random.Generator, num_frames: int, height: int, width: int, *,
    ground: float | None, lively: bool,
) -> tuple[Path, str]:  # fmt: skip
    """A path through the middle of the world, and its description.

    Args:
        rng: source of the draw.
        num_frames: length of the clip.
        height, width: size of the frames in pixels.
        ground: world y of the ground the object moves along; None moves anywhere.
        lively: never at rest.
    """
    length = min(num_frames / 40, 1.6)
    kinds = ["drift", "hop", "circle", "sway", "spin", "rest"]
    kind = str(rng.choice(kinds, p=[0.42, 0.14, 0.12, 0.12, 0.12, 0.08]))
    if kind == "rest" and lively:
        kind = "drift"
    start = (rng.uniform(-0.32, 0.32) * width, rng.uniform(-0.32, 0.32) * height)
    if ground is not None:
        start = (start[0], ground)
    travel, swing, cycles, turn, rock = (0.0, 0.0), (0.0, 0.0), 1.0, 0.0, 0.0
    phrase = "staying in place"
    if kind in ("drift", "hop"):
        dx = rng.uniform(0.18, 0.75) * length * width * rng.choice([-1, 1])
        dy = 0.0 if ground is not None else rng.uniform(-0.3, 0.3) * length * height
        travel = (float(dx), float(dy))
        phrase = f"moving {'right' if dx > 0 else 'left'}"
        if kind == "hop":
            swing = (0.0, rng.uniform(0.08, 0.25) * height)
            cycles = rng.uniform(0.8, 2.0) * length
            phrase = f"hopping to the {'right' if dx > 0 else 'left'}"
        elif rng.random() < 0.4:
            turn = rng.uniform(1.0, 6.0) * length * rng.choice([-1, 1])
            phrase += " and turning"
    if kind == "circle":
        size = rng.uniform(0.07, 0.22) * height
        swing, cycles = (size, size * (0.2 if ground is not None else 1.0)), rng.uniform(0.5, 1.3)
        cycles *= length
        phrase = "going round"
    if kind == "sway":
        swing, rock = (rng.uniform(0.05, 0.2) * width, 0.0), rng.uniform(0, 0.5)
        cycles = rng.uniform(0.6, 1.6) * length
        phrase = "swaying from side to side"
    if kind == "spin":
        turn = rng.uniform(2.0, 9.0) * length * rng.choice([-1, 1])
        phrase = "spinning on the spot"
    path = Path(
        start, travel, swing, cycles, rng.uniform(0, 2 * np.pi), kind == "hop",
        0.0 if ground is not None else rng.uniform(-0.6, 0.6), float(turn), rock, num_frames,
    )  # fmt: skip
    return path, phrase

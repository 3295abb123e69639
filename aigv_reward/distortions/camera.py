"""Smooth paths of the virtual camera, and the sampling grids that follow from them."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Camera:
    """Where the camera looks at every frame.

    Attributes:
        x, y: (T,) position in world pixels; 0 is the middle of the world.
        zoom: (T,) screen pixels per world pixel.
        angle: (T,) roll in radians, positive turns the picture clockwise.
        phrase: what the camera does, in words.
    """

    x: Tensor
    y: Tensor
    zoom: Tensor
    angle: Tensor
    phrase: str

    def at_depth(self, depth: float) -> "Camera":
        """The same path as seen by a layer: 1 moves with the world, 0 stands still."""
        return replace(
            self, x=self.x * depth, y=self.y * depth, zoom=1 + (self.zoom - 1) * (0.3 + 0.7 * depth)
        )

    def between(self, start: int, stop: int) -> "Camera":
        """The path of frames start..stop."""
        part = slice(start, stop)
        return replace(
            self, x=self.x[part], y=self.y[part], zoom=self.zoom[part], angle=self.angle[part]
        )

    @property
    def still(self) -> bool:
        """Whether every frame is seen from the same place."""
        return not any(bool((v != v[0]).any()) for v in (self.x, self.y, self.zoom, self.angle))

    def project(self, x: Tensor, y: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Screen position in pixels of the world points (T,), (T,)."""
        dx, dy = (x - self.x) * self.zoom, (y - self.y) * self.zoom
        cos, sin = self.angle.cos(), self.angle.sin()
        return dx * cos - dy * sin + width / 2, dx * sin + dy * cos + height / 2

    def canvas_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a picture that no frame looks beyond."""
        cos, sin = self.angle.abs().cos(), self.angle.abs().sin()
        reach_x = (width * cos + height * sin) / self.zoom + 2 * self.x.abs()
        reach_y = (height * cos + width * sin) / self.zoom + 2 * self.y.abs()
        return int(reach_y.max()) + 4, int(reach_x.max()) + 4

    def rows_below(self, row: float, size: tuple[int, int], canvas: int) -> tuple[int, int]:
        """Where a canvas row and what lies below it is on the screen.

        Args:
            row: row of a picture that is centred on the world.
            size: height and width of the frames.
            canvas: height of the picture.

        Returns:
            The first screen row that can show it at any frame, and the first from which every
            frame shows nothing above it.
        """
        height, width = size
        y = row - canvas / 2 - self.y
        sin, cos = self.angle.sin(), self.angle.cos()
        middle = y * self.zoom / cos
        slant = (width / 2) * (sin / cos).abs()
        first = int(torch.floor((middle - slant).min() + height / 2)) - 1
        full = int(torch.ceil((middle + slant).max() + height / 2)) + 1
        return min(max(first, 0), height), min(max(full, 0), height)

    def grid(self, rows: tuple[int, int], size: tuple[int, int], canvas: tuple[int, int]) -> Tensor:
        """Sampling grid of `grid_sample` for some rows of every frame of a layer.

        Args:
            rows: first and last (excluded) row of the frames.
            size: height and width of the frames.
            canvas: height and width of the layer's picture, centred on the world.

        Returns:
            (T, rows, W, 2), align_corners=False convention.
        """
        (height, width), (canvas_h, canvas_w) = size, canvas
        cos = (self.angle.cos() / self.zoom)[:, None, None]
        sin = (self.angle.sin() / self.zoom)[:, None, None]
        px = (torch.arange(width) + 0.5 - width / 2)[None, None, :]
        py = (torch.arange(*rows) + 0.5 - height / 2)[None, :, None]
        grid = torch.empty(cos.shape[0], rows[1] - rows[0], width, 2)
        sx, sy = 2 / canvas_w, 2 / canvas_h
        torch.add(cos * px * sx, (sin * py + self.x[:, None, None]) * sx, out=grid[..., 0])
        torch.add(-sin * px * sy, (cos * py + self.y[:, None, None]) * sy, out=grid[..., 1])
        return grid


def sway(rng: np.random.Generator, u: Tensor, cycles: float) -> Tensor:
    """A smooth low-frequency wander of (T,), about 1 in amplitude."""
    total = torch.zeros_like(u)
    for k in (1.0, 1.7, 2.6):
        phase, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.0) / k
        total += strength * torch.sin(2 * np.pi * cycles * k * u + phase)
    return total


def draw_camera(
    rng: np.random.Generator, num_frames: int, height: int, width: int, *, pace: float = 1.0
) -> Camera:
    """A camera path that starts and ends equally far from the middle of the world.

    Args:
        rng: source of the draw.
        num_frames: length of the path; 40 frames are one unit of travel.
        height, width: size of the frames in pixels.
        pace: speed of time about the middle of the clip.
    """
    calm = bool(rng.random() < 0.2)
    length = num_frames / 40
    u = torch.linspace(-0.5, 0.5, num_frames) * pace if num_frames > 1 else torch.zeros(1)
    if rng.random() < 0.35:
        u = 0.75 * u + 0.25 * 0.5 * torch.sin(np.pi * u)
    zero = torch.zeros(num_frames)
    x, y, zoom, angle = zero, zero, zero + 1, zero
    kinds = ["static", "sway", "pan", "tilt", "zoom", "roll", "travel"]
    kind = str(rng.choice(kinds, p=[0.14, 0.2, 0.28, 0.08, 0.14, 0.06, 0.1]))
    if calm and kind not in ("static", "sway"):
        kind = "sway"
    reach = rng.uniform(0.12, 0.5) * min(length, 1.5) * rng.choice([-1, 1])
    phrase = "static camera"
    if kind in ("pan", "travel"):
        x = u * reach * width
        phrase = f"camera pans {'right' if reach > 0 else 'left'}"
    if kind == "tilt":
        y = u * 0.7 * reach * height
        phrase = f"camera tilts {'down' if reach > 0 else 'up'}"
    if kind in ("zoom", "travel"):
        rate = rng.uniform(0.12, 0.4) * rng.choice([-1, 1]) * min(length, 1.5)
        zoom = torch.exp((u + (0.5 if rate > 0 else -0.5)) * rate)
        word = f"zooms {'in' if rate > 0 else 'out'}"
        phrase = f"{phrase} and {word}" if kind == "travel" else f"camera {word}"
    if kind == "roll":
        turn = rng.uniform(0.12, 0.4) * rng.choice([-1, 1]) * min(length, 1.5)
        angle = u * turn
        phrase = f"camera rolls {'left' if turn > 0 else 'right'}"
    if kind == "sway" or (kind != "static" and rng.random() < 0.25):
        size = rng.uniform(0.008, 0.03) * height
        cycles = rng.uniform(0.4, 0.9) * length
        x = x + size * sway(rng, u, cycles)
        y = y + 0.7 * size * sway(rng, u, cycles)
        angle = angle + rng.uniform(0, 0.012) * sway(rng, u, cycles)
        phrase = "handheld camera" if kind == "sway" else f"handheld {phrase}"
    return Camera(x, y, zoom, angle, phrase)

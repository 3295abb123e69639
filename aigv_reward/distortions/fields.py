"""Random smooth fields, and the blur that band-limits pictures."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def smooth(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of a picture (C, h, w), reflected at the borders.

    Args:
        image: (C, h, w).
        sigma: pixels; anything below 0.2 returns the picture as it is.
    """
    if sigma < 0.2:
        return image
    radius = min(int(3 * sigma + 0.5) or 1, min(image.shape[-2:]) - 1)
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    taps = taps / taps.sum()
    for axis in (-2, -1):
        size = image.shape[axis]
        pad = (radius, radius, 0, 0) if axis == -1 else (0, 0, radius, radius)
        padded = F.pad(image[None], pad, mode="reflect")[0]
        image = torch.zeros_like(image)
        for k, tap in enumerate(taps.tolist()):
            image.add_(padded.narrow(axis, k, size), alpha=tap)
    return image


def fractal_noise(
    rng: np.random.Generator,
    h: int,
    w: int,
    *,
    cell: float,
    octaves: int,
    persistence: float = 0.5,
    stretch: float = 1.0,
) -> Tensor:
    """Sum of smooth random grids, each twice as fine as the one before, scaled to [0, 1].

    Args:
        rng: source of the draw.
        h, w: size in pixels.
        cell: grid spacing of the coarsest octave in pixels.
        octaves: number of grids.
        persistence: amplitude ratio of one octave to the one before.
        stretch: horizontal over vertical spacing.
    """
    total = torch.zeros(h, w)
    amplitude = 1.0
    for _ in range(octaves):
        rows = max(2, int(h / max(cell, 1.5)) + 2)
        columns = max(2, int(w / max(cell * stretch, 1.5)) + 2)
        grid = torch.from_numpy(rng.random((1, 1, rows, columns), dtype=np.float32))
        fine = F.interpolate(grid, size=(h, w), mode="bicubic", align_corners=False)
        total.add_(fine[0, 0], alpha=amplitude)
        amplitude *= persistence
        cell /= 2
    total -= total.min()
    return total / total.max().clamp_min(1e-6)


def axes(h: int, w: int) -> tuple[Tensor, Tensor]:
    """Row and column numbers, (h, 1) and (1, w)."""
    return torch.arange(h, dtype=torch.float32)[:, None], torch.arange(w, dtype=torch.float32)[None]


def step(distance: Tensor, width: float = 1.5) -> Tensor:
    """0 below, 1 above, with an edge `width` pixels wide around distance 0."""
    return (distance / width + 0.5).clamp_(0, 1)


def cells(rng: np.random.Generator, rows: Tensor, columns: Tensor) -> Tensor:
    """A random value in [0, 1] for each integer (row, column)."""
    table = torch.from_numpy(rng.random((61, 67), dtype=np.float32))
    return table[rows.long() % 61, columns.long() % 67]

"""Regular textures as scalar fields (h, w) about [0, 1]: masonry, cloth, windows, writing."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aigv_reward.distortions.fields import axes, cells, fractal_noise, step


def bricks(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    height, width = scale * 0.45, scale * rng.uniform(0.9, 1.4)
    row = (y / height).floor()
    shifted = x / width + 0.5 * (row % 2)
    inside = torch.minimum(
        (height / 2 - ((y / height) % 1 - 0.5).abs() * height).expand(h, w),
        width / 2 - ((shifted % 1) - 0.5).abs() * width,
    )
    wear = fractal_noise(rng, h, w, cell=10, octaves=3)
    tone = 0.4 + 0.35 * cells(rng, row.expand(h, w), shifted.floor()) + 0.3 * (wear - 0.3)
    return tone * step(inside - 1.3) + 0.05


def tiles(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    side = scale
    inside = torch.minimum(
        (side / 2 - ((y / side) % 1 - 0.5).abs() * side).expand(h, w),
        (side / 2 - ((x / side) % 1 - 0.5).abs() * side).expand(h, w),
    )
    sheen = fractal_noise(rng, h, w, cell=scale, octaves=3)
    tone = (
        0.5 + 0.3 * cells(rng, (y / side).floor().expand(h, w), (x / side).floor()) + 0.25 * sheen
    )
    return tone * step(inside - 1) + 0.1


def checks(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    wave = (scale / np.pi) * torch.sin(np.pi * x / scale).clamp(-0.3, 0.3)
    wave = wave * torch.sin(np.pi * y / scale).clamp(-0.3, 0.3) * 10
    wear = fractal_noise(rng, h, w, cell=scale, octaves=4)
    return 0.15 + 0.6 * step(wave) + 0.25 * wear


def stripes(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    angle = rng.uniform(0, np.pi)
    phase = (x * np.cos(angle) + y * np.sin(angle)) / (scale * 0.8)
    edge = ((phase % 1) - 0.5).abs() - 0.25
    wear = fractal_noise(rng, h, w, cell=scale * 2, octaves=4)
    return 0.1 + 0.65 * step(edge * scale * 0.8) + 0.25 * wear


def plaid(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    knots = torch.from_numpy(rng.random((2, 32), dtype=np.float32))

    def bands(t: Tensor, row: Tensor) -> Tensor:
        position = t / (scale * 0.5)
        index = position.floor().long()
        blend = step(position - index - 0.9, 0.2)
        return torch.lerp(row[index % 32], row[(index + 1) % 32], blend)

    weave = fractal_noise(rng, h, w, cell=4, octaves=1)
    return 0.45 * bands(x, knots[0]) + 0.45 * bands(y, knots[1]) + 0.15 * weave


def dots(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    row = (y / scale).floor()
    u = x / scale + 0.5 * (row % 2)
    distance = (((u % 1) - 0.5) ** 2 + ((y / scale % 1) - 0.5) ** 2).sqrt() * scale
    wear = fractal_noise(rng, h, w, cell=scale * 2, octaves=4)
    return 0.15 + 0.6 * step(scale * rng.uniform(0.2, 0.38) - distance) + 0.25 * wear


def windows(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    height, width = scale * 0.8, scale * 0.6
    inside = torch.minimum(
        (height * 0.32 - ((y / height) % 1 - 0.5).abs() * height).expand(h, w),
        (width * 0.28 - ((x / width) % 1 - 0.5).abs() * width).expand(h, w),
    )
    lit = cells(rng, (y / height).floor().expand(h, w), (x / width).floor())
    wall = 0.25 + 0.2 * fractal_noise(rng, h, w, cell=scale * 3, octaves=4)
    return torch.lerp(wall, 0.05 + 0.95 * lit, step(inside))


def writing(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    pixel = max(1.0, scale / 14)
    rows, columns = int(h / pixel / 11) + 1, int(w / pixel / 6) + 1
    strokes = rng.random((rows, columns, 7, 5)) < 0.25
    strokes[:, :, :, int(rng.integers(0, 4))] |= rng.random((rows, columns, 1)) < 0.7
    strokes[:, :, int(rng.integers(0, 6)), :] |= rng.random((rows, columns, 1)) < 0.6
    strokes &= (rng.random((rows, columns)) < 0.83)[:, :, None, None]
    page = np.zeros((rows, 11, columns, 6), dtype=np.float32)
    page[:, 2:9, :, :5] = strokes.transpose(0, 2, 1, 3)
    sheet = torch.from_numpy(page.reshape(1, 1, rows * 11, columns * 6))
    ink = F.interpolate(sheet, scale_factor=pixel, mode="bilinear", align_corners=False)
    ink = F.pad(ink, (0, max(0, w - ink.shape[-1]), 0, max(0, h - ink.shape[-2])))[0, 0, :h, :w]
    paper = 0.8 + 0.2 * fractal_noise(rng, h, w, cell=scale * 4, octaves=4)
    return paper * (1 - 0.85 * ink)

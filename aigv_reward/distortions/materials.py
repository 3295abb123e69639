"""Irregular textures as scalar fields (h, w) about [0, 1]: stone, wood, plants, water, haze."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aigv_reward.distortions.fields import axes, cells, fractal_noise, step


def clouds(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    return fractal_noise(rng, h, w, cell=scale * 3, octaves=int(rng.integers(3, 6)))


def plaster(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    coarse = fractal_noise(rng, h, w, cell=scale * 4, octaves=2)
    fine = fractal_noise(rng, h, w, cell=6, octaves=2, persistence=0.8)
    return 0.4 + 0.35 * coarse + 0.2 * (fine - 0.5)


def marble(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    angle = rng.uniform(0, np.pi)
    bend = fractal_noise(rng, h, w, cell=scale * 3, octaves=4)
    phase = (x * np.cos(angle) + y * np.sin(angle)) / scale + 6 * bend
    return 0.5 + 0.5 * torch.sin(2.2 * phase)


def wood(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    grain = fractal_noise(rng, h, w, cell=scale, octaves=4, stretch=12, persistence=0.6)
    rings = 0.5 + 0.5 * torch.sin(grain * rng.uniform(12, 30))
    y, _ = axes(h, w)
    plank = scale * rng.uniform(1.2, 3)
    seam = step(((y / plank) % 1.0 - 0.5).abs() * -plank + plank / 2 - 1.2)
    tone = cells(rng, (y / plank).floor(), torch.zeros(1, 1))
    return (0.25 + 0.35 * rings + 0.25 * grain + 0.25 * tone) * seam.expand(h, w)


def grass(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    blades = fractal_noise(rng, h, w, cell=9, octaves=3, stretch=0.28, persistence=0.7)
    patches = fractal_noise(rng, h, w, cell=scale * 4, octaves=3)
    return 0.75 * blades + 0.45 * patches - 0.1


def sand(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    grains = fractal_noise(rng, h, w, cell=3, octaves=2, persistence=0.7)
    dunes = marble(rng, h, w, scale * 1.5)
    return 0.35 + 0.35 * dunes + 0.3 * (grains - 0.5)


def cobbles(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    rows, columns = int(h / scale) + 3, int(w / scale) + 3
    jitter = torch.from_numpy(rng.random((rows, columns, 2), dtype=np.float32) * 0.8 + 0.1)
    tone = torch.from_numpy(rng.random((rows, columns), dtype=np.float32))
    half_h, half_w = (h + 1) // 2, (w + 1) // 2
    y, x = axes(half_h, half_w)
    y, x = y * 2 / scale + 1, x * 2 / scale + 1
    row, column = y.floor().long(), x.floor().long()
    first = torch.full((half_h, half_w), 9.0)
    second = first.clone()
    nearest = torch.zeros(half_h, half_w)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            r, c = (row + dy).clamp(0, rows - 1), (column + dx).clamp(0, columns - 1)
            point = jitter[r, c]
            d = ((r + point[..., 0] - y) ** 2 + (c + point[..., 1] - x) ** 2).sqrt()
            nearest = torch.where(d < first, tone[r, c], nearest)
            second = torch.minimum(second, torch.maximum(first, d))
            first = torch.minimum(first, d)
    stone = (0.35 + 0.5 * nearest) * ((second - first) * 4).clamp(0, 1).sqrt()
    stone = F.interpolate(stone[None, None], size=(h, w), mode="bilinear", align_corners=False)
    return stone[0, 0] * 0.85 + 0.15 * fractal_noise(rng, h, w, cell=5, octaves=2)


def ripples(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    total = 0.15 * fractal_noise(rng, h, w, cell=scale, octaves=4, stretch=3)
    for _ in range(5):
        angle = rng.uniform(0, np.pi)
        period = scale * rng.uniform(0.4, 2)
        wave = (x * np.cos(angle) * 0.5 + y * np.sin(angle)) * (2 * np.pi / period)
        total = total + 0.1 * torch.sin(wave + rng.uniform(0, 6.28))
    return (total + 0.45).clamp(0, 1)


def gradient(rng: np.random.Generator, h: int, w: int, scale: float) -> Tensor:
    y, x = axes(h, w)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (x - w / 2) / w * np.cos(angle) + (y - h / 2) / h * np.sin(angle)
    return (0.5 + ramp * rng.uniform(0.4, 1.0)).clamp(0, 1)

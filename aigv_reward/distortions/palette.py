"""Colours of procedural scenes: palettes, their names, and scalar fields turned into pictures."""

import colorsys

import numpy as np
import torch
from torch import Tensor

_HUES = (
    (0.035, "red"),
    (0.105, "orange"),
    (0.185, "yellow"),
    (0.43, "green"),
    (0.53, "teal"),
    (0.70, "blue"),
    (0.80, "purple"),
    (0.965, "pink"),
    (1.01, "red"),
)


def draw_palette(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours that go together, from dark to light.

    Args:
        rng: source of the draw.
        count: number of colours, at least 2.

    Returns:
        (count, 3) float32 RGB in [0, 1], sorted by brightness.
    """
    hue = rng.random()
    spread = float(rng.choice([0.0, 0.04, 0.08, 0.2, 0.5]))
    saturation = float(rng.choice([0.0, 0.15, 0.35, 0.6, 0.85], p=[0.1, 0.2, 0.3, 0.25, 0.15]))
    low = rng.uniform(0.05, 0.45)
    high = min(0.97, low + rng.uniform(0.2, 0.6))
    values = np.linspace(low, high, count) + rng.uniform(-0.05, 0.05, count)
    colours = [
        colorsys.hsv_to_rgb(
            (hue + spread * rng.uniform(-1, 1)) % 1.0,
            float(np.clip(saturation + rng.uniform(-0.1, 0.1), 0, 1)),
            float(np.clip(v, 0.02, 0.98)),
        )
        for v in values
    ]
    return np.asarray(colours, dtype=np.float32)


def colour_name(rgb: np.ndarray) -> str:
    """The everyday name of a colour.

    Args:
        rgb: (3,) in [0, 1].
    """
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(c) for c in rgb))
    if value < 0.16:
        return "black"
    if saturation < 0.16:
        return "white" if value > 0.82 else "dark grey" if value < 0.38 else "grey"
    name = next(name for limit, name in _HUES if hue < limit)
    if hue < 0.12 and name in ("orange", "red") and value < 0.55 and saturation < 0.75:
        return "brown"
    if value < 0.36:
        return f"dark {name}"
    return f"pale {name}" if saturation < 0.35 and value > 0.6 else name


def article(words: str) -> str:
    """The words with "a" or "an" before them."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def colourise(field: Tensor, colours: np.ndarray) -> Tensor:
    """A scalar field drawn along a ramp of colours.

    Args:
        field: (h, w) in [0, 1].
        colours: (n, 3) in [0, 1], n >= 2.

    Returns:
        (3, h, w) in [0, 1].
    """
    ramp = torch.from_numpy(np.ascontiguousarray(colours.T, dtype=np.float32))
    position = field.clamp(0, 1) * (ramp.shape[1] - 1)
    index = position.floor().long().clamp_(max=ramp.shape[1] - 2)
    return torch.lerp(ramp[:, index], ramp[:, index + 1], (position - index)[None])

"""Procedural textures in colour, band-limited so that motion never shimmers."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from aigv_reward.distortions import materials, patterns
from aigv_reward.distortions.fields import smooth
from aigv_reward.distortions.palette import colour_name, colourise, draw_palette

Field = Callable[[np.random.Generator, int, int, float], Tensor]

FIELDS: dict[str, Field] = {
    "clouds": materials.clouds,
    "plaster": materials.plaster,
    "marble": materials.marble,
    "wood": materials.wood,
    "grass": materials.grass,
    "sand": materials.sand,
    "bricks": patterns.bricks,
    "tiles": patterns.tiles,
    "checks": patterns.checks,
    "stripes": patterns.stripes,
    "plaid": patterns.plaid,
    "dots": patterns.dots,
    "cobbles": materials.cobbles,
    "windows": patterns.windows,
    "writing": patterns.writing,
    "water": materials.ripples,
    "gradient": materials.gradient,
}


def draw_texture(
    rng: np.random.Generator,
    h: int,
    w: int,
    *,
    kind: str,
    scale: float,
    colours: np.ndarray | None = None,
) -> tuple[Tensor, str]:
    """A textured picture and the name of its colour.

    Args:
        rng: source of the draw.
        h, w: size in pixels.
        kind: a key of `FIELDS`.
        scale: size of the texture's elements in pixels.
        colours: (n, 3) ramp in [0, 1]; drawn when left out.

    Returns:
        picture (3, h, w) in [0, 1], colour name.
    """
    if colours is None:
        colours = draw_palette(rng, int(rng.integers(2, 5)))
    image = colourise(FIELDS[kind](rng, h, w, scale), colours)
    image = smooth(image, 0.6)
    return image, colour_name(image.mean(dim=(1, 2)).numpy())

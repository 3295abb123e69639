"""Moving things made of sprites: single shapes and jointed figures, with a truthful description."""

from dataclasses import dataclass, replace

import numpy as np

from aigv_reward.distortions.figures import FIGURE_PARTS
from aigv_reward.distortions.palette import article, draw_palette
from aigv_reward.distortions.paths import draw_path
from aigv_reward.distortions.sprites import Sprite
from aigv_reward.distortions.textures import draw_texture

SHAPES = ("disc", "box", "polygon", "star", "blob", "ring")
_TEXTURES = {
    "plaster": "plain", "marble": "marbled", "wood": "wooden", "checks": "checked",
    "stripes": "striped", "plaid": "plaid", "dots": "dotted", "writing": "printed",
    "clouds": "mottled", "bricks": "bricked", "cobbles": "pebbled",
}  # fmt: skip
_POLYGONS = {3: "triangle", 5: "pentagon", 6: "hexagon"}


@dataclass(frozen=True)
class Moving:
    """An object: its parts from back to front, and what it is and does, in words."""

    sprites: tuple[Sprite, ...]
    phrase: str


def draw_object(
    rng: np.random.Generator, num_frames: int, height: int, width: int, *,
    ground: float | None, scale: float, lively: bool, light: tuple[float, float],
) -> Moving:  # fmt: skip
    """A shape or a figure with texture, path and description.

    Args:
        rng: source of the draw.
        num_frames, height, width: of the clip.
        ground: world y of the ground; None floats.
        scale: typical half size in world pixels.
        lively: never at rest.
        light: direction (x, y) towards the light.
    """
    path, action = draw_path(rng, num_frames, height, width, ground=ground, lively=lively)
    kind = str(rng.choice(list(_TEXTURES)))
    side = int(2 * scale) + 8
    colours = draw_palette(rng, int(rng.integers(2, 4)))
    texture, colour = draw_texture(
        rng, side, side, kind=kind, scale=scale * rng.uniform(0.25, 0.6), colours=colours
    )
    base = Sprite("disc", (scale, scale), texture, path, shading=rng.uniform(0.1, 0.7), light=light)
    if rng.random() < 0.4:
        figure = str(rng.choice(list(FIGURE_PARTS)))
        if figure in ("walker", "car", "pendulum"):
            path = replace(path, angle=0.0, turn=0.0)
            base = replace(base, motion=path)
            action = action.replace(" and turning", "")
            action = action.replace("spinning on the spot", "staying in place")
        sprites = FIGURE_PARTS[figure](rng, base, path, scale)
        return Moving(sprites, f"{article(f'{colour} {_TEXTURES[kind]} {figure}')} {action}")
    shape = str(rng.choice(SHAPES))
    points = int(rng.choice([3, 5, 6])) if shape == "polygon" else int(rng.integers(4, 8))
    squash = rng.uniform(0.55, 1.0)
    size = (scale, scale * squash) if shape in ("box", "blob") else (scale, scale)
    noun = _POLYGONS[points] if shape == "polygon" else shape
    sprite = replace(base, shape=shape, size=size, points=points)
    return Moving((sprite,), f"{article(f'{colour} {_TEXTURES[kind]} {noun}')} {action}")

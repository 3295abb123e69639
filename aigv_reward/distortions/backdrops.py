"""What lies behind the moving objects: picture layers at several depths."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from aigv_reward.distortions.camera import Camera
from aigv_reward.distortions.fields import fractal_noise, smooth
from aigv_reward.distortions.layers import Layer, cut_out
from aigv_reward.distortions.palette import article, colour_name, colourise, draw_palette
from aigv_reward.distortions.textures import draw_texture

_NATURAL = {
    "grass": ((0.1, 0.2, 0.05), (0.3, 0.42, 0.12), (0.55, 0.6, 0.25)),
    "wood": ((0.2, 0.11, 0.06), (0.5, 0.32, 0.18), (0.72, 0.52, 0.33)),
    "bricks": ((0.45, 0.42, 0.38), (0.45, 0.2, 0.14), (0.7, 0.38, 0.28)),
    "sand": ((0.5, 0.4, 0.26), (0.75, 0.63, 0.43), (0.92, 0.83, 0.65)),
    "cobbles": ((0.12, 0.11, 0.1), (0.42, 0.4, 0.38), (0.66, 0.64, 0.6)),
    "water": ((0.03, 0.12, 0.2), (0.1, 0.32, 0.45), (0.55, 0.75, 0.82)),
    "writing": ((0.05, 0.05, 0.08), (0.6, 0.58, 0.55), (0.96, 0.95, 0.9)),
}
WALLS = (
    "bricks", "tiles", "wood", "plaster", "stripes", "plaid", "dots", "checks", "marble",
    "writing", "cobbles", "windows", "clouds", "sand", "grass", "water",
)  # fmt: skip
GROUNDS = ("grass", "sand", "cobbles", "tiles", "wood", "water", "checks", "plaster")


@dataclass(frozen=True)
class Backdrop:
    """Layers from back to front, their description, and the world y of the ground if any."""

    layers: tuple[Layer, ...]
    phrase: str
    ground: float | None


def natural_colours(rng: np.random.Generator, kind: str, chance: float = 0.55) -> np.ndarray:
    """The colours a material usually has, or now and then any others."""
    if kind in _NATURAL and rng.random() < chance:
        ramp = np.asarray(_NATURAL[kind], dtype=np.float32)
        return np.clip(
            ramp * rng.uniform(0.6, 1.15) + rng.uniform(-0.05, 0.05, 3), 0.02, 0.98
        ).astype(np.float32)
    return draw_palette(rng, int(rng.integers(2, 5)))


def wall(rng: np.random.Generator, camera: Camera, height: int, width: int) -> Backdrop:
    """A flat textured surface."""
    h, w = camera.canvas_size(height, width)
    kind = str(rng.choice(WALLS))
    scale = float(np.exp(rng.uniform(np.log(0.05), np.log(0.22)))) * height
    image, colour = draw_texture(
        rng, h, w, kind=kind, scale=scale, colours=natural_colours(rng, kind)
    )
    return Backdrop((Layer(image, 1.0),), f"{colour} {kind}", None)


def soft(rng: np.random.Generator, camera: Camera, height: int, width: int) -> Backdrop:
    """A smooth low-detail ground: gradients and large soft clouds."""
    h, w = camera.canvas_size(height, width)
    image, _ = draw_texture(rng, h, w, kind="gradient", scale=height)
    haze = fractal_noise(rng, h, w, cell=height * rng.uniform(0.3, 0.8), octaves=2)
    tint = colourise(haze, draw_palette(rng, 3))
    image = torch.lerp(image, tint, float(rng.uniform(0.1, 0.8)))
    name = colour_name(image.mean(dim=(1, 2)).numpy())
    return Backdrop(
        (Layer(image, float(rng.uniform(0.4, 1.0))),), f"a soft {name} background", None
    )


def _sky(rng: np.random.Generator, h: int, w: int) -> tuple[Tensor, str]:
    mood = str(rng.choice(["day", "dusk", "night", "overcast"], p=[0.45, 0.2, 0.15, 0.2]))
    top, bottom, cloud = {
        "day": ((0.2, 0.42, 0.75), (0.7, 0.83, 0.93), (0.97, 0.97, 0.98)),
        "dusk": ((0.2, 0.18, 0.4), (0.95, 0.6, 0.35), (0.85, 0.45, 0.45)),
        "night": ((0.02, 0.03, 0.08), (0.08, 0.1, 0.2), (0.15, 0.16, 0.22)),
        "overcast": ((0.5, 0.53, 0.57), (0.75, 0.77, 0.79), (0.85, 0.86, 0.87)),
    }[mood]
    jitter = rng.uniform(-0.06, 0.06, 3)
    ramp = torch.linspace(0, 1, h)[:, None].expand(h, w)
    sky = colourise(ramp, np.clip(np.asarray([top, bottom]) + jitter, 0, 1).astype(np.float32))
    puffs = fractal_noise(rng, h, w, cell=h * 0.25, octaves=5, stretch=2.2)
    cover = ((puffs - rng.uniform(0.4, 0.7)) * rng.uniform(1.5, 5)).clamp(0, 1)
    tint = torch.tensor(cloud, dtype=torch.float32)[:, None, None]
    names = {"day": "a blue sky", "dusk": "a dusk sky", "night": "a night sky"}
    return torch.lerp(sky, tint, cover), names.get(mood, "an overcast sky")


def _floor(
    rng: np.random.Generator, h: int, w: int, horizon: int, kind: str, scale: float
) -> tuple[Tensor, str]:
    """A textured plane in perspective, filling the rows below the horizon; (3, h - horizon, w)."""
    colours = natural_colours(rng, kind, 0.75)
    side = 640
    texture, colour = draw_texture(rng, side, side, kind=kind, scale=scale, colours=colours)
    rows = torch.arange(h - horizon, dtype=torch.float32)
    depth = h * 0.5 / (rows + h * 0.12)
    x = (torch.arange(w) - w / 2)[None, :] * depth[:, None]
    z = (depth * h * 0.35)[:, None].expand_as(x)
    grid = torch.stack((x / (side / 2), z / (side / 2) - 1), dim=-1)[None]
    near = F.grid_sample(texture[None], grid, padding_mode="reflection", align_corners=False)[0]
    coarse = smooth(texture, 2.5)[None]
    far = F.grid_sample(coarse, grid, padding_mode="reflection", align_corners=False)[0]
    mean = texture.mean(dim=(1, 2), keepdim=True)
    level = (depth / 1.3 - 1).clamp(0, 1)[None, :, None]
    blend = torch.lerp(near, far, level)
    return torch.lerp(blend, mean, ((depth - 2.2) / 2).clamp(0, 1)[None, :, None]), colour


def _ridge(rng: np.random.Generator, w: int, kind: str, height: float) -> Tensor:
    """Height of a silhouette above the horizon, (w,) pixels."""
    if kind == "buildings":
        edges = np.cumsum(rng.uniform(0.15, 0.6, 64) * height)
        tops = torch.from_numpy(rng.uniform(0.3, 1.6, 65).astype(np.float32)) * height
        return tops[torch.from_numpy(np.searchsorted(edges, np.arange(w)))]
    line = fractal_noise(rng, 2, w, cell=height * 3, octaves=5)[0]
    return line * height * (0.9 if kind == "hills" else 1.6) + 0.15 * height


def outdoors(rng: np.random.Generator, camera: Camera, height: int, width: int) -> Backdrop:
    """Sky, one or two silhouettes of hills, trees or buildings, and a ground in perspective."""
    horizon_world = rng.uniform(-0.15, 0.2) * height
    layers: list[Layer] = []
    far = camera.at_depth(0.15)
    h, w = far.canvas_size(height, width)
    sky, sky_name = _sky(rng, h, w)
    layers.append(Layer(sky, 0.15))
    haze = sky[:, int(h * 0.55) :].mean(dim=(1, 2))[:, None, None]
    names: list[str] = []
    for depth in (0.4, 0.7)[int(rng.integers(0, 2)) :]:
        kind = str(rng.choice(["hills", "mountains", "buildings"]))
        h, w = camera.at_depth(depth).canvas_size(height, width)
        material = "windows" if kind == "buildings" else str(rng.choice(["grass", "clouds"]))
        image, colour = draw_texture(
            rng, h, w, kind=material, scale=0.09 * height,
            colours=natural_colours(rng, "grass" if kind == "hills" else material, 0.6),
        )  # fmt: skip
        image = torch.lerp(image, haze, 0.55 * (1 - depth))
        ridge = _ridge(rng, w, kind, rng.uniform(0.12, 0.3) * height)
        rows = torch.arange(h, dtype=torch.float32)[:, None] - (h / 2 + horizon_world + 2)
        slope = torch.ones(w)
        slope[1:-1] = (1 + ((ridge[2:] - ridge[:-2]) / 2) ** 2).sqrt().clamp(max=4)
        alpha = ((rows + ridge) / slope + 0.5).clamp(0, 1)
        layers.append(cut_out(image, smooth(alpha[None], 0.5)[0], depth))
        names.append(kind)
    h, w = camera.canvas_size(height, width)
    horizon = int(h / 2 + horizon_world)
    kind = str(rng.choice(GROUNDS))
    floor, colour = _floor(rng, h, w, horizon, kind, rng.uniform(0.06, 0.2) * height)
    image = torch.zeros(4, h, w)
    image[:3, horizon:], image[3, horizon:] = floor, 1.0
    layers.append(Layer(image, 1.0))
    behind = " and ".join(dict.fromkeys(names))
    phrase = f"{colour} {kind} ground with {behind} under {sky_name}"
    return Backdrop(tuple(layers), phrase, horizon_world)


def indoors(rng: np.random.Generator, camera: Camera, height: int, width: int) -> Backdrop:
    """A wall, out of focus now and then, and a floor in perspective."""
    horizon_world = rng.uniform(0.05, 0.25) * height
    h, w = camera.at_depth(0.6).canvas_size(height, width)
    kind = str(rng.choice(WALLS[:12]))
    image, colour = draw_texture(
        rng, h, w, kind=kind, scale=rng.uniform(0.06, 0.25) * height,
        colours=natural_colours(rng, kind),
    )  # fmt: skip
    if rng.random() < 0.5:
        image = smooth(image, rng.uniform(1.0, 5.0) * height / 256)
    layers = [Layer(image, 0.6)]
    h, w = camera.canvas_size(height, width)
    horizon = int(h / 2 + horizon_world)
    ground = str(rng.choice(["wood", "tiles", "plaster", "checks", "marble", "plaid"]))
    floor, ground_colour = _floor(rng, h, w, horizon, ground, rng.uniform(0.08, 0.25) * height)
    full = torch.zeros(4, h, w)
    full[:3, horizon:], full[3, horizon:] = floor, 1.0
    layers.append(Layer(full, 1.0))
    phrase = f"{article(ground_colour)} {ground} floor before {article(colour)} {kind} wall"
    return Backdrop(tuple(layers), phrase, horizon_world)


def photograph(
    rng: np.random.Generator, camera: Camera, height: int, width: int, photos: Sequence[Tensor]
) -> Backdrop:
    """A photograph, cropped and scaled so that no frame looks beyond it."""
    h, w = camera.canvas_size(height, width)
    photo = photos[int(rng.integers(len(photos)))]
    if rng.random() < 0.5:
        photo = photo.flip(-1)
    fit = max(h / photo.shape[1], w / photo.shape[2])
    fit = max(fit, min(1.0, fit * rng.uniform(1.0, 2.5)))
    size = (max(h, round(photo.shape[1] * fit)), max(w, round(photo.shape[2] * fit)))
    image = F.interpolate(
        photo[None].float() / 255, size=size, mode="bicubic", antialias=True, align_corners=False
    )[0].clamp(0, 1)
    top = int(rng.integers(size[0] - h + 1))
    left = int(rng.integers(size[1] - w + 1))
    return Backdrop((Layer(image[:, top : top + h, left : left + w], 1.0),), "a photograph", None)

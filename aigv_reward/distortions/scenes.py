"""Procedural clips: layers, moving objects, camera, light and lens, all drawn from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aigv_reward.distortions.backdrops import (
    Backdrop,
    indoors,
    outdoors,
    photograph,
    soft,
    wall,
)
from aigv_reward.distortions.camera import Camera, draw_camera, sway
from aigv_reward.distortions.fields import smooth
from aigv_reward.distortions.layers import Layer, draw_layers
from aigv_reward.distortions.objects import Moving, draw_object
from aigv_reward.distortions.sprites import paint

_CHUNK = 8


@dataclass(frozen=True)
class Scene:
    """A rendered clip.

    Attributes:
        frames: uint8 (T, 3, H, W).
        caption: what it shows, in words.
    """

    frames: Tensor
    caption: str


def render_scene(
    seed: int,
    *,
    num_frames: int = 40,
    height: int = 256,
    width: int = 384,
    pace: float = 1.0,
    photos: Sequence[Tensor] | None = None,
) -> Scene:
    """A clean clip that the seed decides entirely.

    Surfaces are band-limited and edges antialiased, so that a scene has no shimmer of its own.
    Something always moves: the camera, an object, or both.

    Args:
        seed: any non-negative integer.
        num_frames: length; 40 frames are one unit of travel, about 2.5 s at 16 fps.
        height, width: size in pixels, at least 32.
        pace: 0..1, speed of everything that moves, about the same middle of the clip; 0 is a
            still. The caption stays that of pace 1.
        photos: uint8 (3, h, w) pictures, used as background of a third of the scenes.

    Returns:
        The clip and its caption.

    Raises:
        ValueError: fewer than 1 frame, a side below 32 pixels, or a pace outside 0..1.
    """
    if num_frames < 1 or min(height, width) < 32:
        raise ValueError(
            f"a scene of {num_frames} frames of {height}x{width} cannot be drawn; "
            "ask for at least 1 frame of at least 32x32 pixels"
        )
    if not 0 <= pace <= 1:
        raise ValueError(f"pace is {pace}; choose 0 (a still) to 1 (full speed)")
    rng = np.random.default_rng(seed)
    camera, paced = (
        draw_camera(np.random.default_rng((seed, 1)), num_frames, height, width, pace=p)
        for p in (1.0, pace)
    )
    moves = camera.phrase not in ("static camera", "handheld camera")
    backdrop = _draw_backdrop(rng, camera, height, width, photos)
    objects = _draw_objects(rng, backdrop, num_frames, height, width, moves)
    blurred = bool(rng.random() < 0.25)
    backdrop = _lens(rng, backdrop, paced, height, blurred=blurred, near=bool(objects))
    light = _draw_light(rng, num_frames, height, width, pace)
    shutter = 0.5 if blurred else 0.0
    middle = (num_frames - 1) / 2
    times = middle + pace * (torch.arange(num_frames) - middle)
    result = torch.empty(num_frames, 3, height, width, dtype=torch.uint8)
    for start in range(0, num_frames, _CHUNK):
        stop = min(start + _CHUNK, num_frames)
        view = paced.between(start, stop)
        frames = draw_layers(backdrop.layers, view, height, width)
        for thing in objects:
            for sprite in thing.sprites:
                paint(frames, sprite, view, times[start:stop], shutter=pace * shutter)
        result[start:stop] = light.expose(frames, start)
    things = " and ".join(thing.phrase for thing in objects)
    place = "over" if backdrop.ground is None else "on"
    caption = f"{things} {place} {backdrop.phrase}" if things else backdrop.phrase
    return Scene(result, f"{caption}, {camera.phrase}")


def _draw_backdrop(
    rng: np.random.Generator,
    camera: Camera,
    height: int,
    width: int,
    photos: Sequence[Tensor] | None,
) -> Backdrop:
    if photos and rng.random() < 1 / 3:
        return photograph(rng, camera, height, width, photos)
    kind = float(rng.random())
    if kind < 0.3:
        return wall(rng, camera, height, width)
    if kind < 0.65:
        return outdoors(rng, camera, height, width)
    if kind < 0.87:
        return indoors(rng, camera, height, width)
    return soft(rng, camera, height, width)


def _draw_objects(
    rng: np.random.Generator,
    backdrop: Backdrop,
    num_frames: int,
    height: int,
    width: int,
    moves: bool,
) -> list[Moving]:
    count = int(rng.choice([0, 1, 2, 3, 4] if moves else [1, 2, 3, 4]))
    angle = rng.uniform(0, 2 * np.pi)
    light = (float(np.cos(angle)), -abs(float(np.sin(angle))))
    things: list[tuple[float, Moving]] = []
    for k in range(count):
        ground, scale = None, rng.uniform(0.07, 0.24) * height
        if backdrop.ground is not None and rng.random() < 0.75:
            nearness = rng.uniform(0.15, 1.0)
            base = backdrop.ground + nearness * (height / 2 - backdrop.ground) * 0.85
            scale = (0.06 + 0.13 * nearness) * height
            ground = base - 0.8 * scale
        thing = draw_object(
            rng, num_frames, height, width, ground=ground, scale=scale,
            lively=k == 0 and not moves, light=light,
        )  # fmt: skip
        things.append((scale, thing))
    return [thing for _, thing in sorted(things, key=lambda item: item[0])]


def _lens(
    rng: np.random.Generator,
    backdrop: Backdrop,
    camera: Camera,
    height: int,
    *,
    blurred: bool,
    near: bool,
) -> Backdrop:
    """The backdrop out of focus behind sharp objects, or streaked along the camera's way."""
    layers = backdrop.layers
    shallow, sigma = rng.random() < 0.22, rng.uniform(1.0, 4.0) * height / 256
    if shallow and near:
        layers = tuple(layer.with_image(smooth(layer.image, sigma)) for layer in layers)
    if blurred and len(camera.x) > 1:
        speed = (float(camera.x.diff().mean()), float(camera.y.diff().mean()))
        layers = tuple(_streak(layer, speed) for layer in layers)
    return replace(backdrop, layers=layers)


def _streak(layer: Layer, speed: tuple[float, float], shutter: float = 0.5) -> Layer:
    length = shutter * layer.depth * max(abs(speed[0]), abs(speed[1]))
    taps = int(length + 0.5)
    if taps < 2:
        return layer
    total = torch.zeros_like(layer.image)
    for k in range(taps):
        share = shutter * layer.depth * (k / (taps - 1) - 0.5)
        shift = (round(share * speed[1]), round(share * speed[0]))
        total += layer.image.roll(shift, dims=(1, 2))
    return layer.with_image(total / taps)


@dataclass(frozen=True)
class _Light:
    """Gain (T,) over time, shade (1, H, W) over the picture, and the tone curve."""

    gain: Tensor
    shade: Tensor
    curve: str
    contrast: float

    def expose(self, frames: Tensor, start: int) -> Tensor:
        """Frames (T, 3, H, W) as grey levels, changed in place; `start` is the first one's time."""
        gain = self.gain[start : start + len(frames), None, None, None]
        frames.mul_(self.shade * gain).clamp_(0, 1)
        if self.curve == "bright":
            root = frames.sqrt()
            frames.copy_(root.mul_(root.sqrt()))
        if self.curve == "deep":
            frames.mul_(frames.sqrt().sqrt_())
        return frames.sub_(0.5).mul_(255 * self.contrast).add_(128).clamp_(0, 255)


def _draw_light(
    rng: np.random.Generator, num_frames: int, height: int, width: int, pace: float
) -> _Light:
    u = torch.linspace(-0.5, 0.5, num_frames) * (pace * num_frames / 40)
    gain = torch.ones(num_frames)
    if rng.random() < 0.3:
        gain = 1 + rng.uniform(0.04, 0.15) * sway(rng, u, 0.5)
    shade = torch.ones(1, height, width)
    if rng.random() < 0.5:
        y = torch.linspace(-1, 1, height)[:, None] - rng.uniform(-0.6, 0.6)
        x = torch.linspace(-1, 1, width)[None, :] - rng.uniform(-0.6, 0.6)
        shade = (1.1 - rng.uniform(0.1, 0.3) * (x**2 + y**2))[None].clamp_min(0.3)
    curve = str(rng.choice(["bright", "plain", "deep"], p=[0.15, 0.7, 0.15]))
    if rng.random() < 0.15:
        shade = shade * float(rng.uniform(0.35, 0.6))
        curve = "plain"
    return _Light(gain, shade, curve, float(rng.uniform(0.75, 1.1)))

"""Textured, shaded shapes that move in front of a scene, antialiased by their distance field."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from aigv_reward.distortions.camera import Camera

Motion = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass(frozen=True)
class Sprite:
    """One rigid part of an object.

    Attributes:
        shape: disc, ring, box, limb, polygon, star or blob.
        size: half width and half height in world pixels; a limb hangs from its origin, `size[1]`
            long and `size[0]` thick.
        texture: (3, s, s) in [0, 1], stretched over the shape's bounding square.
        motion: times (T,) in frames to x, y in world pixels and angle in radians, each (T,).
        points: corners of a polygon, arms of a star, lobes of a blob.
        shading: 0 is flat, 1 is a ball lit from `light`.
        light: direction (x, y) towards the light on the screen.
        softness: width of the edge in pixels; large when out of focus.
    """

    shape: str
    size: tuple[float, float]
    texture: Tensor
    motion: Motion
    points: int = 5
    shading: float = 0.5
    light: tuple[float, float] = (-0.5, -0.7)
    softness: float = 1.0

    @property
    def radius(self) -> float:
        """Distance from the origin that no part of the shape exceeds, in world pixels."""
        if self.shape == "box":
            return (self.size[0] ** 2 + self.size[1] ** 2) ** 0.5
        if self.shape == "limb":
            return self.size[0] + self.size[1]
        return max(self.size) * (1.25 if self.shape == "blob" else 1.0)


def signed_distance(sprite: Sprite, x: Tensor, y: Tensor) -> Tensor:
    """Distance in world pixels to the outline at local points, negative inside."""
    a, b = sprite.size
    if sprite.shape == "box":
        corner = 0.15 * min(a, b)
        qx, qy = x.abs() - (a - corner), y.abs() - (b - corner)
        outside = (qx.clamp_min(0) ** 2 + qy.clamp_min(0) ** 2).sqrt()
        return outside + torch.maximum(qx, qy).clamp_max(0) - corner
    if sprite.shape == "limb":
        return (x**2 + (y - y.clamp(0, b)) ** 2).sqrt() - a
    if sprite.shape == "polygon":
        turn = torch.arange(sprite.points) * (2 * torch.pi / sprite.points)
        inner = a * float(torch.cos(torch.tensor(torch.pi / sprite.points)))
        distance = torch.full_like(x, -inner)
        for t in turn.tolist():
            cos, sin = float(torch.cos(torch.tensor(t))), float(torch.sin(torch.tensor(t)))
            distance = torch.maximum(distance, x * cos + y * sin - inner)
        return distance
    r = (x**2 + (y * (a / b)) ** 2).sqrt()
    if sprite.shape == "star":
        angle = torch.atan2(y, x)
        return (r - a * (0.68 + 0.3 * torch.cos(sprite.points * angle))) * 0.7
    if sprite.shape == "blob":
        angle = torch.atan2(y, x)
        lobes = 0.12 * torch.sin(sprite.points * angle) + 0.09 * torch.cos(3 * angle + 1)
        return r - a * (1 + lobes)
    if sprite.shape == "ring":
        return (r - 0.72 * a).abs() - 0.26 * a
    return (r - a) * min(1.0, b / a)


def _patch(
    sprite: Sprite, camera: Camera, times: Tensor, origin: Tensor, side: int,
    size: tuple[int, int], gap: float, taps: int,
) -> Tensor:  # fmt: skip
    """Premultiplied colour and alpha (T, 4, side, side) at patch origins (T, 2) given as x, y.

    The mean over `taps` moments `gap` frames apart.
    """
    total = torch.zeros(len(times), 4, side, side)
    steps = torch.arange(side) + 0.5
    reach = sprite.radius
    scale = camera.zoom
    texture = sprite.texture[None].expand(len(times), -1, -1, -1)
    grid = torch.empty(len(times), side, side, 2)
    for k in range(taps):
        x, y, angle = sprite.motion(times + gap * (k - (taps - 1) / 2))
        sx, sy = camera.project(x, y, *size)
        turn = angle + camera.angle
        px = ((origin[:, 0] - sx)[:, None] + steps)[:, None, :]
        py = ((origin[:, 1] - sy)[:, None] + steps)[:, :, None]
        cos, sin = (turn.cos() / scale)[:, None, None], (turn.sin() / scale)[:, None, None]
        lx, ly = cos * px + sin * py, cos * py - sin * px
        distance = signed_distance(sprite, lx, ly).mul_(scale[:, None, None] / -sprite.softness)
        alpha = distance.add_(0.5).clamp_(0, 1)[:, None]
        torch.mul(lx, 1 / reach, out=grid[..., 0])
        torch.mul(ly, 1 / reach, out=grid[..., 1])
        colour = F.grid_sample(texture, grid, padding_mode="border", align_corners=False)
        if sprite.shading > 0:
            span = (1 / (reach * scale))[:, None, None]
            nx, ny = px * span, py * span
            lit = (1 - nx**2 - ny**2).clamp_min_(0).sqrt_().mul_(0.6 * sprite.shading)
            lit += (nx * sprite.light[0] + ny * sprite.light[1] - 0.45) * sprite.shading + 1
            colour.mul_(lit[:, None])
        total[:, :3].addcmul_(colour, alpha)
        total[:, 3:].add_(alpha)
    return total.div_(taps)


def paint(
    frames: Tensor, sprite: Sprite, camera: Camera, times: Tensor, *, shutter: float = 0.0
) -> None:
    """Draws a sprite into every frame, in place.

    Args:
        frames: (T, 3, H, W) float in [0, 1].
        sprite: what to draw.
        camera: the path that these frames are seen from.
        times: (T,) time of every frame, in frames.
        shutter: how long the shutter is open, in frames; above 0 gives motion blur.
    """
    num_frames, _, height, width = frames.shape
    x, y, _ = sprite.motion(times)
    sx, sy = camera.project(x, y, height, width)
    half = sprite.radius * float(camera.zoom.max()) + sprite.softness + 2
    if sx.max() < -half or sx.min() > width + half or sy.max() < -half or sy.min() > height + half:
        return
    speed = 0.0
    if num_frames > 1:
        speed = float(torch.maximum(sx.diff().abs().max(), sy.diff().abs().max())) * shutter
    side = int(2 * half + speed)
    origin = torch.stack((sx, sy), dim=1).floor() - side // 2
    taps = min(5, 1 + int(speed / 1.5))
    patches = _patch(sprite, camera, times, origin, side, (height, width), shutter / taps, taps)
    for t, (left, top) in enumerate(origin.long().tolist()):
        x0, x1 = max(left, 0), min(left + side, width)
        y0, y1 = max(top, 0), min(top + side, height)
        if x0 >= x1 or y0 >= y1:
            continue
        patch = patches[t, :, y0 - top : y1 - top, x0 - left : x1 - left]
        target = frames[t, :, y0:y1, x0:x1]
        target.mul_(1 - patch[3]).add_(patch[:3])

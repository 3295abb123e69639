"""Degradations of the picture itself: noise, blur, compression, resolution, banding."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from aigv_reward.distortions.codec import PRESETS, round_trip
from aigv_reward.distortions.draws import choose, uniform

NOISE_SIGMA = (6.0, 12.0, 22.0, 40.0)
IMPULSE_SHARE = (0.006, 0.02, 0.06, 0.15)
BLUR_SIGMA = (0.9, 1.7, 3.0, 5.5)
RESOLUTION_FACTOR = (1.6, 2.4, 3.8, 6.0)
BANDING_LEVELS = (26, 15, 9, 5)
CODEC_LADDERS = {
    "libx264": (30, 36, 42, 48),
    "libx265": (30, 37, 44, 51),
    "mpeg4": (6, 11, 19, 31),
    "mjpeg": (9, 18, 32, 60),
    "libvpx": (38, 48, 56, 63),
    "libvpx-vp9": (38, 48, 56, 63),
    "mpeg2video": (4, 9, 16, 28),
}
_MARGIN = 48
_CHUNK = 8


def noise(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Sensor-like noise: gaussian, poisson, chroma, impulse or temporally correlated grain.

    The standard deviation is `NOISE_SIGMA` grey levels (poisson: at mid grey); impulse noise
    replaces `IMPULSE_SHARE` of the pixels.
    """
    kind = choose(("gaussian", "poisson", "chroma", "impulse", "grain"), generator)
    sigma = NOISE_SIGMA[severity - 1]
    num_frames, _, height, width = frames.shape
    pool = torch.randn(6, 3, height + _MARGIN, width + _MARGIN, generator=generator)
    if kind == "chroma":
        pool = F.avg_pool2d(pool, 3, stride=1, padding=1) * 3
        pool = (pool - pool.mean(dim=1, keepdim=True)) * 1.4
    if kind == "grain":
        pool = F.avg_pool2d(pool, 2, stride=1, padding=1)[..., 1:, 1:] * 2
        pool = pool.mean(dim=1, keepdim=True).mul_(1.6).expand(-1, 3, -1, -1)
    picks = torch.randint(6, (num_frames,), generator=generator).tolist()
    corners = torch.randint(_MARGIN + 1, (num_frames, 2), generator=generator).tolist()
    result = torch.empty_like(frames)
    last: Tensor | None = None
    for t in range(num_frames):
        top, left = corners[t]
        field = pool[picks[t], :, top : top + height, left : left + width]
        picture = frames[t].float()
        if kind == "grain":
            last = field.clone() if last is None else last.mul_(0.75).add_(field, alpha=0.66)
            picture.add_(last, alpha=sigma)
        elif kind == "impulse":
            mark = field[0].abs()
            struck = mark > math.sqrt(2) * _inverse_erf(1 - IMPULSE_SHARE[severity - 1])
            picture.masked_fill_(struck & (field[1] > 0), 255).masked_fill_(
                struck & (field[1] <= 0), 0
            )
        elif kind == "poisson":
            picture.addcmul_((picture / 128).clamp_min_(0.02).sqrt_(), field, value=sigma)
        else:
            picture.add_(field, alpha=sigma)
        result[t] = picture.add_(0.5).clamp_(0, 255)
    return result


def _inverse_erf(x: float) -> float:
    return float(torch.erfinv(torch.tensor(x, dtype=torch.float64)))


def blur(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Gaussian, box, defocus or one-directional blur.

    The kernel's standard deviation is `BLUR_SIGMA` pixels in a frame whose smaller side is 256,
    and grows with the frame.
    """
    kind = choose(("gaussian", "box", "disc", "line"), generator)
    angle = uniform(0, math.pi, generator)
    height, width = frames.shape[-2:]
    sigma = BLUR_SIGMA[severity - 1] * min(height, width) / 256
    shrink = max(1, int(sigma / 1.4))
    kernels = _blur_kernels(kind, sigma / shrink, angle)
    result = torch.empty_like(frames)
    for start in range(0, len(frames), _CHUNK):
        part = frames[start : start + _CHUNK].float()
        if shrink > 1:
            size = (math.ceil(height / shrink), math.ceil(width / shrink))
            part = F.interpolate(part, size=size, mode="bilinear", antialias=True)
        for kernel in kernels:
            part = _convolve(part, kernel)
        if shrink > 1:
            part = F.interpolate(part, size=(height, width), mode="bicubic")
        result[start : start + _CHUNK] = part.add_(0.5).clamp_(0, 255)
    return result


def _blur_kernels(kind: str, sigma: float, angle: float) -> Sequence[Tensor]:
    reach = math.ceil(sigma * 3)
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    if kind in ("gaussian", "box"):
        line = torch.exp(-0.5 * (steps / sigma) ** 2)
        if kind == "box":
            line = (sigma * math.sqrt(3) + 0.5 - steps.abs()).clamp(0, 1)
        line = line / line.sum()
        return (line[:, None], line[None, :])
    y, x = steps[:, None], steps[None, :]
    if kind == "disc":
        plane = (2 * sigma + 0.5 - (x**2 + y**2).sqrt()).clamp(0, 1)
    else:
        along = x * math.cos(angle) + y * math.sin(angle)
        across = (y * math.cos(angle) - x * math.sin(angle)).abs()
        plane = (sigma * 2.4 + 0.5 - along.abs()).clamp(0, 1) * (1 - across).clamp(0, 1)
    return (plane / plane.sum(),)


def _convolve(frames: Tensor, kernel: Tensor) -> Tensor:
    """Frames (T, 3, H, W) filtered by a small kernel (h, w) of odd sides, borders reflected."""
    height, width = frames.shape[-2:]
    ry, rx = kernel.shape[0] // 2, kernel.shape[1] // 2
    mode = "reflect" if ry < height and rx < width else "replicate"
    padded = F.pad(frames, (rx, rx, ry, ry), mode=mode)
    total = torch.zeros_like(frames)
    for dy, row in enumerate(kernel.tolist()):
        for dx, weight in enumerate(row):
            if weight > 1e-4:
                total.add_(padded[..., dy : dy + height, dx : dx + width], alpha=weight)
    return total


def compression(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """A round trip through a real codec at a coarse quantiser, by `CODEC_LADDERS`.

    H.264, HEVC, MPEG-4, MPEG-2, MJPEG, VP8 or VP9.
    """
    codec = choose(("libx264", *CODEC_LADDERS), generator)
    preset = choose(PRESETS, generator)
    quality = CODEC_LADDERS[codec][severity - 1]
    return round_trip(
        frames, codec=codec, quality=quality,
        preset="ultrafast" if codec == "libx265" else preset, fps=fps,
    )  # fmt: skip


def resolution(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Shrunk by `RESOLUTION_FACTOR` and enlarged again, by kernels drawn at random."""
    down = choose(("area", "bilinear", "bicubic", "nearest"), generator)
    up = choose(("bilinear", "bicubic", "nearest"), generator)
    height, width = frames.shape[-2:]
    factor = RESOLUTION_FACTOR[severity - 1]
    small = (max(2, round(height / factor)), max(2, round(width / factor)))
    result = torch.empty_like(frames)
    for start in range(0, len(frames), _CHUNK):
        part = frames[start : start + _CHUNK].float()
        if down in ("area", "nearest"):
            part = F.interpolate(part, size=small, mode=down)
        else:
            part = F.interpolate(part, size=small, mode=down, antialias=True)
        part = F.interpolate(part, size=(height, width), mode=up)
        result[start : start + _CHUNK] = part.add_(0.5).clamp_(0, 255)
    return result


def banding(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Too few levels: of each colour channel, or of brightness and colour separately."""
    kind = choose(("rgb", "luma"), generator)
    phase = uniform(0, 1, generator)
    step = 255 / (BANDING_LEVELS[severity - 1] - 1)
    result = torch.empty_like(frames)
    for start in range(0, len(frames), _CHUNK):
        part = frames[start : start + _CHUNK].float()
        if kind == "rgb":
            part.div_(step).add_(phase).round_().sub_(phase).mul_(step)
        else:
            luma = (0.3 * part[:, :1]).add_(part[:, 1:2], alpha=0.59).add_(part[:, 2:], alpha=0.11)
            level = (luma / step + phase).round_().sub_(phase).mul_(step)
            part.sub_(luma).div_(2 * step).round_().mul_(2 * step).add_(level)
        result[start : start + _CHUNK] = part.add_(0.5).clamp_(0, 255)
    return result

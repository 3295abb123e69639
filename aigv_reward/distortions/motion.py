"""Degradations of movement: jitter, freeze, frame drop, shuffle, flicker, low dynamic degree.

All but jitter and flicker rearrange the frames in time, so that they leave a still clip as it is.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from aigv_reward.distortions.draws import choose, integer, uniform

JITTER_SHIFT = (0.006, 0.013, 0.026, 0.05)
JITTER_ANGLE = (0.003, 0.007, 0.014, 0.028)
FREEZE_SHARE = (0.15, 0.3, 0.5, 0.75)
DROP_SHARE = (0.14, 0.3, 0.48, 0.7)
SHUFFLE_REACH = (0.8, 1.6, 3.2, 7.0)
FLICKER_DEPTH = (0.04, 0.09, 0.17, 0.32)
DYNAMIC_SHARE = (0.55, 0.3, 0.13, 0.04)


def jitter(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Every frame shaken by itself: whole-pixel shifts, or shifts with a small rotation.

    The standard deviation is `JITTER_SHIFT` of the smaller side (and `JITTER_ANGLE` radians);
    what moves into the frame is reflected.
    """
    kind = choose(("shift", "shift", "vertical", "rotate"), generator)
    num_frames, _, height, width = frames.shape
    draws = torch.randn(num_frames, 3, generator=generator).clamp_(-2, 2)
    if kind == "vertical":
        draws[:, 0] *= 0.15
    size = max(1.0, JITTER_SHIFT[severity - 1] * min(height, width))
    limit = max(1, min(height, width) // 2 - 1)
    if kind == "rotate":
        angle = draws[:, 2] * JITTER_ANGLE[severity - 1]
        return _moved(frames, draws[:, :2] * size, angle)
    shifts = (draws[:, :2] * size).round().long().clamp_(-limit, limit)
    reach = int(shifts.abs().max())
    if reach == 0:
        return frames.clone()
    result = torch.empty_like(frames)
    for t, (dx, dy) in enumerate(shifts.tolist()):
        rows = _reflected(height, dy)
        columns = _reflected(width, dx)
        result[t] = frames[t].index_select(1, rows).index_select(2, columns)
    return result


def _reflected(size: int, shift: int) -> Tensor:
    index = (torch.arange(size) + shift).abs()
    return (size - 1) - ((size - 1) - index).abs()


def _moved(frames: Tensor, shifts: Tensor, angles: Tensor, chunk: int = 8) -> Tensor:
    """Frames (T, 3, H, W) shifted by (T, 2) pixels x, y and turned by (T,) radians."""
    height, width = frames.shape[-2:]
    px = torch.arange(width) + 0.5 - width / 2
    py = (torch.arange(height) + 0.5 - height / 2)[:, None]
    result = torch.empty_like(frames)
    for start in range(0, len(frames), chunk):
        part = slice(start, start + chunk)
        cos, sin = angles[part].cos()[:, None, None], angles[part].sin()[:, None, None]
        x = cos * px + (sin * py + shifts[part, 0, None, None])
        y = -sin * px + (cos * py + shifts[part, 1, None, None])
        grid = torch.stack((x * (2 / width), y * (2 / height)), dim=-1)
        moved = F.grid_sample(
            frames[part].float(), grid, mode="bilinear", padding_mode="reflection",
            align_corners=False,
        )  # fmt: skip
        result[part] = moved.add_(0.5).clamp_(0, 255)
    return result


def freeze(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """One to three long holds of a frame, `FREEZE_SHARE` of the clip in all; time then jumps on."""
    num_frames = len(frames)
    runs = min(integer(1, 3, generator), max(1, num_frames // 8))
    offsets = torch.rand(runs, generator=generator).tolist()
    index = torch.arange(num_frames)
    window = num_frames / runs
    length = max(2, round(FREEZE_SHARE[severity - 1] * window) + 1)
    for k, offset in enumerate(offsets):
        start = int(k * window + offset * (1 - FREEZE_SHARE[-1]) * window)
        index[start : min(start + length, num_frames)] = start
    return frames[index]


def frame_drop(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Many short gaps: a dropped frame shows the one kept before it, so that motion jerks.

    `DROP_SHARE` of the frames are lost, at random or at an even beat.
    """
    kind = choose(("random", "beat"), generator)
    num_frames = len(frames)
    share = DROP_SHARE[severity - 1]
    draws = torch.rand(num_frames, generator=generator)
    if kind == "beat":
        phase = float(draws[0])
        ticks = (torch.arange(num_frames) * (1 - share) + phase).floor()
        kept = torch.ones(num_frames, dtype=torch.bool)
        kept[1:] = ticks.diff() > 0
    else:
        kept = draws >= share
    kept[0] = True
    index = torch.where(kept, torch.arange(num_frames), torch.zeros((), dtype=torch.long))
    return frames[index.cummax(dim=0).values]


def shuffle(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Frames out of order within a neighbourhood of about `SHUFFLE_REACH` frames."""
    num_frames = len(frames)
    draws = torch.randn(num_frames, generator=generator)
    swap = integer(0, max(0, num_frames - 2), generator)
    index = (torch.arange(num_frames) + SHUFFLE_REACH[severity - 1] * draws).argsort()
    if num_frames > 1 and torch.equal(index, torch.arange(num_frames)):
        index[swap], index[swap + 1] = swap + 1, swap
    return frames[index]


def flicker(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Brightness, contrast or colour that changes from frame to frame by `FLICKER_DEPTH`."""
    kind = choose(("gain", "gamma", "offset", "cast"), generator)
    beat = choose(("random", "alternate", "wave"), generator)
    num_frames = len(frames)
    wave = torch.randn(num_frames, 3, generator=generator).clamp_(-2, 2)
    rate, phase = uniform(1.2, 2.8, generator), uniform(0, 2 * math.pi, generator)
    times = torch.arange(num_frames, dtype=torch.float32)[:, None]
    if beat == "alternate":
        wave = 0.85 * (1 - 2 * (times % 2)) + 0.3 * wave
    if beat == "wave":
        wave = 1.3 * torch.sin(rate * times + phase) + 0.2 * wave
    if kind != "cast":
        wave = wave[:, :1].expand(-1, 3)
    change = (wave * FLICKER_DEPTH[severity - 1])[:, :, None]
    levels = torch.arange(256, dtype=torch.float32).div(255).expand(num_frames, 3, 256)
    if kind == "gamma":
        table = levels ** torch.exp(1.6 * change)
    elif kind == "offset":
        table = levels + 0.6 * change
    else:
        table = levels * torch.exp(change)
    lookup = table.mul(255).add_(0.5).clamp_(0, 255).to(torch.uint8).numpy()
    source = frames.numpy()
    result = np.empty_like(source)
    for t in range(num_frames):
        for c in range(3):
            np.take(lookup[t, c], source[t, c], out=result[t, c], mode="clip")
    return torch.from_numpy(result)


def low_dynamic(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """The clip slowed until it shows only `DYNAMIC_SHARE` of its motion.

    Time runs evenly through a shorter stretch of the clip. What falls between two originals is
    a blend of them, closer to the nearer one, or the nearer one itself. `render_scene(pace=)`
    slows a procedural scene without either.
    """
    kind = choose(("blend", "sharp", "nearest"), generator)
    place = uniform(0, 1, generator)
    num_frames = len(frames)
    if num_frames == 1:
        return frames.clone()
    span = (num_frames - 1) * DYNAMIC_SHARE[severity - 1]
    times = place * (num_frames - 1 - span) + torch.linspace(0, 1, num_frames) * span
    if kind == "nearest":
        return frames[times.round().long()]
    low = times.floor().long().clamp_(max=num_frames - 2)
    weights = (times - low).clamp_(0, 1)
    if kind == "sharp":
        weights = (3 * weights - 1).clamp_(0, 1)
    result = torch.empty_like(frames)
    for t, (index, weight) in enumerate(zip(low.tolist(), weights.tolist(), strict=True)):
        before, after = frames[index].float(), frames[index + 1].float()
        result[t] = before.lerp_(after, weight).add_(0.5).clamp_(0, 255)
    return result

"""Degradations of content: regions swapped, structure melting, identity changing."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from aigv_reward.distortions.draws import choose, integer, uniform

SWAP_AREA = (0.05, 0.12, 0.26, 0.5)
WARP_SHIFT = (0.012, 0.026, 0.055, 0.11)
IDENTITY_AREA = (0.1, 0.2, 0.38, 0.7)
IDENTITY_STRENGTH = (0.4, 0.6, 0.8, 1.0)
_CHUNK = 8


def region_swap(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Parts of the picture in the wrong place: `SWAP_AREA` of the frame in all.

    Tiles are permuted, turned upside down, or replaced by what is elsewhere in the clip, for the
    whole clip or from some moment on. A stronger severity keeps the tiles of a weaker one.
    """
    kind = choose(("permute", "flip", "elsewhere"), generator)
    num_frames, _, height, width = frames.shape
    rows = integer(4, 7, generator)
    columns = max(2, round(rows * width / height))
    count = rows * columns
    order = torch.randperm(count, generator=generator)
    begin = uniform(0, 0.3, generator) if integer(0, 1, generator) else 0.0
    first = int(begin * num_frames)
    lag = integer(1, max(1, num_frames - 1), generator)
    edge = integer(0, 1, generator)
    pairs = max(severity, round(SWAP_AREA[severity - 1] * count / 2))
    chosen = order[: 2 * min(pairs, count // 2)]
    high, wide = height // rows, width // columns
    mask = _tile_mask(chosen, rows, columns, high, wide, height, width, soft=bool(edge))
    source = frames[first:].roll(lag, dims=0) if kind == "elsewhere" else frames[first:]
    moved = source.clone()
    for k, tile in enumerate(chosen.tolist()):
        other = tile if kind == "flip" else int(chosen[k ^ 1])
        y, x = tile // columns * high, tile % columns * wide
        v, u = other // columns * high, other % columns * wide
        piece = source[:, :, v : v + high, u : u + wide]
        moved[:, :, y : y + high, x : x + wide] = piece.flip(-2) if kind == "flip" else piece
    result = frames.clone()
    if not edge:
        result[first:] = torch.where(mask > 0.5, moved, frames[first:])
        return result
    for t in range(first, num_frames):
        mixed = torch.lerp(frames[t].float(), moved[t - first].float(), mask)
        result[t] = mixed.add_(0.5).clamp_(0, 255)
    return result


def _tile_mask(
    tiles: Tensor, rows: int, columns: int, high: int, wide: int, height: int, width: int,
    *, soft: bool,
) -> Tensor:  # fmt: skip
    flags = torch.zeros(rows * columns)
    flags[tiles] = 1.0
    grid = flags.view(rows, columns).repeat_interleave(high, 0).repeat_interleave(wide, 1)
    mask = F.pad(grid, (0, width - grid.shape[1], 0, height - grid.shape[0]))
    if soft:
        reach = max(1, min(high, wide) // 6)
        window = 2 * reach + 1
        mask = F.avg_pool2d(mask[None], window, stride=1, padding=reach)[0]
        mask = (2 * mask - 1).clamp_(0, 1)
    return mask


def warp(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Structures that bend and melt: a smooth displacement that changes over time.

    Its standard deviation is `WARP_SHIFT` of the smaller side; it is random, a swirl, a wave or
    a downward flow, and comes in over the clip or is there from the start.
    """
    kind = choose(("elastic", "elastic", "swirl", "wave", "melt"), generator)
    num_frames, _, height, width = frames.shape
    cells = integer(3, 8, generator)
    anchors = torch.randn(4, 2, cells, cells + 2, generator=generator)
    speed, phase = uniform(0.15, 0.6, generator), uniform(0, 2 * math.pi, generator)
    centre = (uniform(-0.4, 0.4, generator), uniform(-0.4, 0.4, generator))
    rising = bool(integer(0, 1, generator))
    times = torch.arange(num_frames, dtype=torch.float32)
    strength = torch.ones(num_frames)
    if rising:
        strength = 0.3 + 1.2 * torch.linspace(0, 1, num_frames)
    size = WARP_SHIFT[severity - 1] * min(height, width)
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)[None, :]
    result = torch.empty_like(frames)
    big = F.interpolate(anchors, size=(height, width), mode="bicubic", align_corners=True)
    big /= big.std().clamp_min(1e-6)
    for start in range(0, num_frames, _CHUNK):
        part = slice(start, start + _CHUNK)
        clock = times[part] * speed + phase
        if kind == "swirl":
            dy, dx = y - centre[1], (x - centre[0]).expand(height, width)
            bell = torch.exp(-3 * (dx**2 + dy**2))
            turn = torch.sin(clock)[:, None, None] * bell * 4
            shift = torch.stack((-dy * turn, dx * turn), dim=1)
        elif kind == "wave":
            beat = clock[:, None, None]
            waves = torch.sin(y * cells * 2.5 + beat * 2).expand(-1, -1, width)
            others = torch.sin(x * cells * 2.5 - beat * 2).expand(-1, height, -1)
            shift = torch.stack((waves, others), dim=1) * 1.2
        else:
            weights = torch.stack(
                (clock.cos(), clock.sin(), (1.7 * clock).cos(), (1.7 * clock).sin()), dim=1
            )
            shift = torch.einsum("tk,kchw->tchw", weights, big) * 0.75
            if kind == "melt":
                shift[:, 1] = -shift[:, 1].abs() * 1.8
                shift[:, 0] *= 0.3
        shift = shift * (strength[part, None, None, None] * size)
        grid = torch.empty(len(shift), height, width, 2)
        torch.add(shift[:, 0] * (2 / width), x * (1 - 1 / width), out=grid[..., 0])
        torch.add(shift[:, 1] * (2 / height), y * (1 - 1 / height), out=grid[..., 1])
        moved = F.grid_sample(
            frames[part].float(), grid, padding_mode="border", align_corners=False
        )
        result[part] = moved.add_(0.5).clamp_(0, 255)
    return result


def identity_change(frames: Tensor, severity: int, generator: Generator, fps: float) -> Tensor:
    """Something that turns into something else: a region's colours, texture or shape change.

    The region is an ellipse of `IDENTITY_AREA` of the frame around a moving place; over the clip
    it takes on other colours, the mirrored scene, or an enlarged or displaced part of it, by
    `IDENTITY_STRENGTH`.
    """
    kind = choose(("colours", "negative", "mirror", "enlarge", "displace"), generator)
    course = choose(("onset", "drift", "pulse"), generator)
    num_frames, _, height, width = frames.shape
    when, stretch = uniform(0.15, 0.45, generator), uniform(0.6, 1.6, generator)
    turn = integer(1, 2, generator)
    place = _moving_place(frames, generator)
    shift = (
        integer(height // 5, max(height // 5, height // 2), generator),
        integer(width // 5, max(width // 5, width // 2), generator),
    )
    u = torch.linspace(0, 1, num_frames)
    level = torch.sigmoid((u - when) * 22)
    if course == "drift":
        level = (u * 1.4).clamp(max=1)
    if course == "pulse":
        level = 0.5 - 0.5 * torch.cos(2 * math.pi * (2 * u + when))
    area = IDENTITY_AREA[severity - 1] * height * width
    ry = math.sqrt(area * stretch / math.pi)
    rx = math.sqrt(area / stretch / math.pi)
    y = (torch.arange(height) - place[0])[:, None] / ry
    x = (torch.arange(width) - place[1])[None, :] / rx
    mask = ((1.1 - (x**2 + y**2).sqrt()) / 0.2).clamp(0, 1) * IDENTITY_STRENGTH[severity - 1]
    result = torch.empty_like(frames)
    for t in range(num_frames):
        picture = frames[t].float()
        other = _other(picture, kind, turn, shift, place)
        result[t] = torch.lerp(picture, other, mask * float(level[t])).add_(0.5).clamp_(0, 255)
    return result


def _moving_place(frames: Tensor, generator: Generator) -> tuple[int, int]:
    """Row and column drawn where the clip changes most."""
    height, width = frames.shape[-2:]
    thin = frames[:: max(1, len(frames) // 6), :, ::8, ::8].float().mean(dim=1)
    change = (thin.amax(dim=0) - thin.amin(dim=0)).add_(1.0) ** 2
    pick = int(torch.multinomial(change.flatten(), 1, generator=generator))
    row, column = divmod(pick, change.shape[1])
    return min(max(row * 8, height // 6), height * 5 // 6), min(
        max(column * 8, width // 6), width * 5 // 6
    )


def _other(
    picture: Tensor, kind: str, turn: int, shift: tuple[int, int], place: tuple[int, int]
) -> Tensor:
    """What the region turns into, (3, H, W)."""
    if kind == "colours":
        return picture.roll(turn, dims=0)
    if kind == "negative":
        return 255 - picture
    if kind == "mirror":
        return picture.flip(-1).roll(turn, dims=0)
    if kind == "displace":
        return picture.roll(shift, dims=(1, 2))
    height, width = picture.shape[-2:]
    top = min(max(place[0] - height // 4, 0), height - height // 2)
    left = min(max(place[1] - width // 4, 0), width - width // 2)
    part = picture[None, :, top : top + height // 2, left : left + width // 2]
    return F.interpolate(part, size=(height, width), mode="bilinear")[0].flip(-2)

"""Resizing and normalisation of frames, on decoded bytes or on differentiable floats."""

from collections.abc import Sequence
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Interpolation = Literal["bilinear", "nearest"]
INTERPOLATIONS = ("bilinear", "nearest")

MAX_ENLARGED_PIXELS: Final = 1 << 25
"""Most pixels of an enlarged frame: the shape decides them, and a few bytes may hold any shape."""


def check_frames(frames: Tensor) -> None:
    """Refuse what is not RGB frames in one of the two pixel ranges.

    Args:
        frames: (..., 3, H, W), uint8 in 0..255 or floating point in [0, 1].

    Raises:
        ValueError: the shape is not (..., 3, H, W) with H, W >= 1, or the dtype is an integer
            other than uint8.
    """
    if frames.ndim < 3 or frames.shape[-3] != 3 or frames.numel() == 0:
        raise ValueError(
            f"frames have shape {tuple(frames.shape)}; expected a non-empty (..., 3, H, W): "
            "permute channels-last frames first"
        )
    if frames.dtype != torch.uint8 and not frames.is_floating_point():
        raise ValueError(
            f"frames are {frames.dtype}; expected uint8 in 0..255 or floating point in [0, 1]"
        )


def resize(
    frames: Tensor, size: tuple[int, int], *, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Frames of another size; the aspect ratio is not kept.

    Bilinear is antialiased: its triangle filter widens with the reduction, so that fine
    texture is averaged instead of aliased. Nearest takes the pixel at floor(i * (H / size)), in
    single precision, as published checkpoints were trained with.

    Bytes stay bytes, and take a byte kernel where there is one (CPU; several times faster when
    the memory is channels-last, as decoders deliver it). They differ from the resized floats
    by at most one grey level a pixel.

    Args:
        frames: (..., 3, H, W), uint8 in 0..255 or floating point in [0, 1].
        size: (height, width) in pixels, both >= 1.
        interpolation: "bilinear" or "nearest".

    Returns:
        (..., 3, *size) of the same dtype, differentiable in floating-point frames. Frames that
        already have the size come back as they are.

    Raises:
        ValueError: `frames`, `size` or `interpolation` is not as described.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"unknown interpolation {interpolation!r}; choose {' or '.join(INTERPOLATIONS)}"
        )
    return _interpolate(frames, size, interpolation, antialias=interpolation == "bilinear")


def enlarge_to(frames: Tensor, minimum: int) -> Tensor:
    """Frames whose shorter side is at least `minimum`, enlarged bilinearly where it is not.

    Both sides grow by minimum / min(H, W), so that a grid of patches laid over the result
    covers the whole frame.

    Args:
        frames: (..., 3, H, W), uint8 in 0..255 or floating point in [0, 1].
        minimum: least height and width in pixels, >= 1.

    Returns:
        (..., 3, H', W') of the same dtype with min(H', W') = max(minimum, min(H, W)).

    Raises:
        ValueError: `frames` or `minimum` is not as described, or the result is too large.
    """
    check_frames(frames)
    height, width = frames.shape[-2:]
    size = enlarged_size(height, width, minimum)
    if size == (height, width):
        return frames
    return _interpolate(frames, size, "bilinear", antialias=False)


def enlarged_size(height: int, width: int, minimum: int) -> tuple[int, int]:
    """(height, width) of the frames that `enlarge_to` makes of frames of a size.

    Raises:
        ValueError: so far from square that the enlarged frame has more than
            `MAX_ENLARGED_PIXELS`.
    """
    shorter = min(height, width)
    if shorter >= minimum:
        return height, width
    # Rounded in integers: a float scale can leave the shorter side one pixel short.
    rows, columns = ((2 * side * minimum + shorter) // (2 * shorter) for side in (height, width))
    if rows * columns > MAX_ENLARGED_PIXELS:
        raise ValueError(
            f"frames of {width}x{height} pixels would be enlarged to {columns}x{rows}, so that "
            f"their shorter side has {minimum}; that is above the limit of {MAX_ENLARGED_PIXELS} "
            "pixels: crop the longer side, or pad the shorter one"
        )
    return rows, columns


def normalize(
    frames: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Frames minus the mean, over the standard deviation, channel by channel.

    Args:
        frames: (..., 3, H, W), uint8 in 0..255 or floating point in [0, 1].
        mean: of R, G, B on the 0..255 scale, whatever the dtype of `frames`.
        std: likewise, positive.
        dtype: of the result; the arithmetic is at least single precision.

    Returns:
        (..., 3, H, W), contiguous, differentiable in floating-point frames.

    Raises:
        ValueError: `frames` is not as described.
    """
    check_frames(frames)
    work = torch.promote_types(dtype, torch.float32)
    if frames.is_floating_point():
        work = torch.promote_types(frames.dtype, work)
    pixels = frames.to(work, memory_format=torch.contiguous_format)
    shift = torch.tensor(tuple(mean), dtype=work, device=frames.device).view(3, 1, 1)
    scale = torch.tensor(tuple(std), dtype=work, device=frames.device).view(3, 1, 1)
    if frames.is_floating_point():
        return pixels.mul(255).sub_(shift).div_(scale).to(dtype)
    return pixels.sub_(shift).div_(scale).to(dtype)


def _interpolate(frames: Tensor, size: tuple[int, int], mode: str, *, antialias: bool) -> Tensor:
    check_frames(frames)
    if min(size) < 1:
        raise ValueError(f"cannot resize to {tuple(size)}; height and width must be at least 1")
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    flat = frames.reshape(-1, *frames.shape[-3:])
    if flat.dtype == torch.uint8 and mode == "nearest" and _has_packed_rows(flat):
        out = _nearest_bytes(flat, size)
    elif flat.dtype == torch.uint8 and mode == "bilinear" and flat.device.type != "cpu":
        out = _interpolate_bytes_as_floats(flat, size, antialias=antialias)
    else:
        out = F.interpolate(flat, size=tuple(size), mode=mode, antialias=antialias)
    return out.reshape(*frames.shape[:-2], *size)


def _has_packed_rows(frames: Tensor) -> bool:
    """Whether the pixels of a row, with their channels, lie side by side in memory."""
    return frames.stride(1) == 1 and frames.stride(3) == 3


def _nearest_bytes(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest (N, 3, *size) by copying runs of 3 bytes: twice as fast as `F.interpolate`."""
    by_frame, _, by_row, by_pixel = frames.stride()
    y, x = (
        _nearest_indices(old, new, frames.device)
        for old, new in zip(frames.shape[-2:], size, strict=True)
    )
    span = 1 + sum((n - 1) * step for n, step in zip(frames.shape, frames.stride(), strict=True))
    runs = frames.as_strided((span - 2, 3), (1, 1))  # every run of the memory, none copied
    starts = torch.arange(len(frames), device=frames.device)[:, None, None] * by_frame
    starts = starts + y[:, None] * by_row + x * by_pixel  # (N, *size)
    return runs.index_select(0, starts.flatten()).view(*starts.shape, 3).movedim(-1, 1)


def _nearest_indices(old: int, new: int, device: torch.device) -> Tensor:
    """(new,) floor(i * (old / new)) in single precision, as `F.interpolate` has it."""
    scale = torch.tensor(old, dtype=torch.float32, device=device) / new
    steps = torch.arange(new, dtype=torch.float32, device=device)
    return (steps * scale).floor_().long().clamp_(max=old - 1)


def _interpolate_bytes_as_floats(
    frames: Tensor, size: tuple[int, int], *, antialias: bool
) -> Tensor:
    """Bilinear bytes where the device has no kernel for them: floats, rounded."""
    out = F.interpolate(frames.float(), size=tuple(size), mode="bilinear", antialias=antialias)
    return out.round_().clamp_(0, 255).to(torch.uint8)

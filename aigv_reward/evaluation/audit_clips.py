"""The clean clips of an audit, one at a time, cut to a size that fits."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch.nn.functional as F
from torch import Tensor

from aigv_reward.distortions import render_scene
from aigv_reward.evaluation.audit_settings import SMALLEST_SIDE, AuditSettings
from aigv_reward.video import Video, read_frames

ClipSource: TypeAlias = str | os.PathLike[str] | Video

FIRST_SCENE = 9_000_000
"""Seed of the first procedural scene; the bundled checkpoint was trained on seeds below 1000000."""

_CHUNK = 8


@dataclass(frozen=True)
class AuditClip:
    """A clean clip, as the audit uses it.

    Attributes:
        name: what results and errors call it.
        frames: uint8 (T, 3, H, W), contiguous.
        fps: frames per second.
        prompt: the text it was made from, or None.
        source_size: frames, height and width before it was cut and shrunk.
    """

    name: str
    frames: Tensor
    fps: float
    prompt: str | None
    source_size: tuple[int, int, int]


def open_clips(
    clips: Sequence[ClipSource], prompts: Sequence[str | None] | None, settings: AuditSettings
) -> Iterator[AuditClip]:
    """The clips in order, each read when it is asked for.

    Args:
        clips: paths and `Video`s.
        prompts: the text each clip was made from, or None.
        settings: `num_frames` frames around the middle are taken, and shrunk so that the smaller
            side is at most `side`.

    Raises:
        ValueError: no clips, another number of prompts, a clip of fewer than 2 frames or with a
            side under 32 pixels.
        VideoDecodeError: a file that cannot be read.
    """
    if not clips:
        raise ValueError("there are no clips to audit with; pass at least one, or None for scenes")
    if prompts is not None and len(prompts) != len(clips):
        raise ValueError(
            f"{len(prompts)} prompts for {len(clips)} clips; pass one or None for each"
        )
    for index, source in enumerate(clips):
        if isinstance(source, Video):
            name, fps, total = f"clips[{index}]", source.fps, len(source.frames)
            frames = source.frames[middle(total, settings.num_frames)]
        else:
            name = os.fspath(source)
            read = read_frames(
                source,
                lambda count, fps: range(count)[middle(count, settings.num_frames)],
            )
            frames, fps, total = read.frames, read.fps, read.num_frames
        yield fitted(name, frames, fps, prompts[index] if prompts else None, total, settings)


def scenes(count: int, settings: AuditSettings, *, captions: bool) -> Iterator[AuditClip]:
    """Procedural scenes of fixed seeds, 2:3, with their captions as prompts if asked.

    Raises:
        ValueError: fewer than 1 scene.
    """
    if count < 1:
        raise ValueError(f"an audit of {count} scenes judges nothing; ask for 1 or more")
    for seed in range(FIRST_SCENE, FIRST_SCENE + count):
        scene = render_scene(
            seed,
            num_frames=settings.num_frames,
            height=settings.side,
            width=settings.side * 3 // 2,
        )
        yield fitted(
            f"scene {seed}",
            scene.frames,
            16.0,
            scene.caption if captions else None,
            len(scene.frames),
            settings,
        )


def middle(total: int, count: int) -> slice:
    """The `count` items around the middle of `total`, or all of fewer."""
    start = max(0, (total - count) // 2)
    return slice(start, start + count)


def fitted(
    name: str,
    frames: Tensor,
    fps: float,
    prompt: str | None,
    total: int,
    settings: AuditSettings,
) -> AuditClip:
    """The clip of these frames, shrunk to `settings.side`.

    Raises:
        ValueError: fewer than 2 frames, or a side under 32 pixels.
    """
    height, width = frames.shape[-2:]
    if len(frames) < 2 or min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"clip {name!r} is {len(frames)} frames of {width}x{height}; the distortions need at "
            f"least 2 frames of {SMALLEST_SIDE}x{SMALLEST_SIDE}"
        )
    scale = settings.side / min(height, width)
    if scale < 1:
        frames = shrunk(frames, round(height * scale), round(width * scale))
    return AuditClip(name, frames.contiguous(), fps, prompt, (total, height, width))


def shrunk(frames: Tensor, height: int, width: int) -> Tensor:
    """Frames uint8 (T, 3, H, W) resampled to a smaller size, antialiased."""
    result = frames.new_empty(len(frames), 3, height, width)
    for start in range(0, len(frames), _CHUNK):
        part = frames[start : start + _CHUNK].float()
        part = F.interpolate(part, size=(height, width), mode="bilinear", antialias=True)
        result[start : start + _CHUNK] = part.add_(0.5).clamp_(0, 255)
    return result

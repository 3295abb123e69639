"""Frames through PyAV, one after the other from the start."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aigv_reward.video.orientation import UPRIGHT, orientation
from aigv_reward.video.probe import Probe
from aigv_reward.video.source import Source
from aigv_reward.video.stream import decoded, open_stream
from aigv_reward.video.video import VideoDecodeError


def decode(source: Source, facts: Probe, indices: Sequence[int]) -> Tensor:
    """The wanted frames; every frame up to the last is decoded, only the wanted are converted.

    FFmpeg's seeks land on key frames by time stamp, which is not a frame index; decoding costs a
    fraction of the conversion to RGB, so nothing is skipped.

    Args:
        source: the video.
        facts: its probe.
        indices: ascending, without repeats, below `facts.num_frames`.

    Returns:
        (N, H, W, 3) uint8 RGB, turned and mirrored as the container or the stream says. An
        alpha channel is dropped.

    Raises:
        VideoDecodeError: a damaged frame, fewer or more frames than the packets promise, or frames
            of different sizes.
    """
    out: Tensor | None = None
    found = seen = 0
    shown = UPRIGHT
    with open_stream(source) as (container, stream):
        for position, frame in enumerate(decoded(source, container, stream)):
            seen = position + 1
            # a container says it of each frame, an H.264 stream once for those up to a key frame
            shown = orientation(source, frame) or (UPRIGHT if frame.key_frame else shown)
            if found == len(indices):
                if indices[-1] < facts.num_frames - 1:
                    break  # not read to the end: nothing to check there
                continue
            if position != indices[found]:
                continue
            picture = shown.apply(frame.to_ndarray(format="rgb24", threads=1))
            if out is None:
                out = torch.empty((len(indices), *picture.shape), dtype=torch.uint8)
            if picture.shape != out.shape[1:]:
                raise VideoDecodeError(
                    source.name,
                    f"frame {position} is {picture.shape[1]}x{picture.shape[0]} and those before "
                    f"it {out.shape[2]}x{out.shape[1]}; scale them to one size",
                )
            out.numpy()[found] = picture
            found += 1
    if out is None or found < len(indices) or seen > facts.num_frames:
        raise VideoDecodeError(
            source.name, f"it is damaged: it holds {facts.num_frames} frames and {seen} decode"
        )
    return out

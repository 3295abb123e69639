"""Videos to request bodies, the same for both clients."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save
from torch import Tensor

TENSORS: Final = "application/vnd.aigv.safetensors"
REQUEST_KEY: Final = "aigv_reward"
OVERSHOOT: Final = 0.5  # what a reward on this machine takes too

Source = str | os.PathLike[str] | bytes | Tensor


@dataclass(frozen=True)
class Part:
    """Some videos of a call, as one request.

    Attributes:
        indices: which of the call's videos.
        body: makes the arguments of `httpx.Client.post`, anew for each attempt.
    """

    indices: list[int]
    body: Callable[[], dict[str, Any]]


def parts(
    videos: Sequence[Source] | Tensor,
    prompts: Sequence[str | None] | None,
    fps: float | Tensor | Sequence[float | None] | None,
    *,
    dimensions: Sequence[str] | None,
    most_bytes: int,
    most_videos: int,
) -> Iterator[Part]:
    """Requests for all videos: frames and files apart, each as large as it may be.

    Args:
        videos: paths, bytes and (T, 3, H, W) tensors, or one (B, T, 3, H, W) tensor.
        prompts: one or None a video, or None.
        fps: of tensors, one number or one a video.
        dimensions: what to score, None for everything.
        most_bytes: of one request, unless a single video has more.
        most_videos: of one request.

    Raises:
        ValueError: no videos, another number of prompts or rates, one string in place of several
            dimensions, or frames that have no score.
    """
    if isinstance(videos, str | bytes | os.PathLike) or len(videos) == 0:
        raise ValueError("videos is empty, or one video that is not in a list; wrap it in [ ]")
    if isinstance(dimensions, str):
        raise ValueError(f"dimensions is one string, {dimensions!r}; wrap it in [ ]")
    texts = _each(prompts, len(videos), "prompts")
    given: Any = fps.tolist() if isinstance(fps, Tensor) else fps
    rates = [given] * len(videos) if isinstance(given, Real) else _each(given, len(videos), "fps")
    tensors = [index for index, video in enumerate(videos) if isinstance(video, Tensor)]
    files = [index for index in range(len(videos)) if index not in set(tensors)]
    for indices, make in ((tensors, _tensor_body), (files, _file_body)):
        for some in _groups(videos, indices, most_bytes, most_videos):
            items: list[dict[str, Any]] = [{"id": str(i), "prompt": texts[i]} for i in some]
            for item, i in zip(items, some, strict=True):
                if make is _file_body:
                    item["file"] = str(i)
                else:
                    item |= {"tensor": str(i), "fps": None if rates[i] is None else float(rates[i])}
            text = json.dumps({"items": items, "dimensions": dimensions and list(dimensions)})
            named = {str(i): videos[i] for i in some}
            yield Part(some, partial(make, named, text))


def as_bytes(frames: Tensor) -> Tensor:
    """(T, H, W, 3) uint8 of (T, 3, H, W): bytes as they are, floats in [0, 1] to the nearest.

    Raises:
        ValueError: another shape or type, no pixels, or pixels that are no colours.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or not frames.numel():
        raise ValueError(f"frames of shape {tuple(frames.shape)}: one video is (T, 3, H, W)")
    if frames.requires_grad and torch.is_grad_enabled():
        raise ValueError(
            "frames require a gradient and a remote reward has none; detach them, or use a "
            "VideoReward on this machine"
        )
    if frames.is_floating_point():
        least, most = (float(value) for value in torch.aminmax(frames.detach()))
        if not (math.isfinite(least) and math.isfinite(most)):
            raise ValueError("frames hold NaN or infinite pixels; they have no score")
        if least < -OVERSHOOT or most > 1 + OVERSHOOT:
            raise ValueError(
                f"float frames span {least:.3g}..{most:.3g}, expected 0..1; scale them, or pass "
                "uint8 for 0..255"
            )
        frames = frames.detach().float().clamp(0, 1).mul(255).round().to(torch.uint8)
    elif frames.dtype != torch.uint8:
        raise ValueError(f"frames of dtype {frames.dtype}; pass uint8 0..255 or float 0..1")
    return frames.permute(0, 2, 3, 1).contiguous().cpu()


def _each(values: Any, count: int, what: str) -> list[Any]:
    if values is None:
        return [None] * count
    if isinstance(values, str) or len(values) != count:
        size = "one string" if isinstance(values, str) else f"{len(values)} entries"
        raise ValueError(f"{what} has {size} for {count} videos; pass one entry a video")
    return list(values)


def _groups(
    videos: Sequence[Source] | Tensor, indices: Sequence[int], most_bytes: int, most_videos: int
) -> Iterator[list[int]]:
    group: list[int] = []
    size = 0
    for index in indices:
        one = _size(videos[index])
        if group and (size + one > most_bytes or len(group) == most_videos):
            yield group
            group, size = [], 0
        group.append(index)
        size += one
    if group:
        yield group


def _size(video: Source) -> int:
    if isinstance(video, Tensor):
        return video.numel()
    return len(video) if isinstance(video, bytes) else Path(video).stat().st_size


def _tensor_body(videos: Mapping[str, Any], text: str) -> dict[str, Any]:
    tensors = {name: as_bytes(frames) for name, frames in videos.items()}
    content = save(tensors, metadata={REQUEST_KEY: text})
    return {"content": content, "headers": {"content-type": TENSORS}}


def _file_body(videos: Mapping[str, Any], text: str) -> dict[str, Any]:
    files = {
        name: (name, video if isinstance(video, bytes) else Path(video).read_bytes())
        for name, video in videos.items()
    }
    return {"data": {"request": text}, "files": files}

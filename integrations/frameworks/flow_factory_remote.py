"""Flow-Factory's remote protocol: the body of POST /compute to its answer."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.frameworks.detached_scores import detached_scores_of_list
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts

# what a damaged PNG makes pillow raise
_DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def flow_factory_compute(
    payload: Mapping[str, Any],
    reward: RewardFn,
    *,
    fps: float,
    weights: Mapping[str, float] | None = None,
) -> dict[str, list[float]]:
    """{"rewards": [...]}, one float a video.

    Args:
        payload: {"prompt": [text, ...], "video": [[PNG in base64, one a frame], ...]}; its other
            keys ("image", "condition_images", "condition_videos", "kwargs") are not read.
        reward: any reward.
        fps: frames per second of the videos, which the protocol does not carry.
        weights: {dimension: weight}; None: the reward's own, or its "overall".

    Raises:
        ValueError: no videos, another form, an image that cannot be read, frames of different
            sizes, prompts that do not match; what `scores_of` refuses. A server answers with an
            error status, never with a number.
    """
    rate = checked_fps(fps)
    videos = payload.get("video")
    if not isinstance(videos, list) or not videos:
        raise ValueError(
            "the payload has no list 'video'; the client's required_fields must be "
            "('prompt', 'video')"
        )
    prompts = checked_prompts(payload.get("prompt"), len(videos))
    frames = [_frames(video, f"video[{index}]") for index, video in enumerate(videos)]
    scores = detached_scores_of_list(reward, frames, prompts, fps=rate, weights=weights)
    return {"rewards": scores.total.tolist()}


def _frames(video: Any, name: str) -> Tensor:
    """(T, 3, H, W) float in [0, 1]."""
    if not isinstance(video, list) or not video:
        raise ValueError(f"{name} is no list of frames; send one PNG in base64 a frame")
    images = [_pixels(text, f"{name}[{index}]") for index, text in enumerate(video)]
    _check_sizes(images, name)
    return as_frames(torch.from_numpy(np.stack(images)), "thwc", kind="uint8")[0]


def _pixels(text: Any, name: str) -> np.ndarray:
    if not isinstance(text, str):
        raise ValueError(f"{name} is a {type(text).__name__}; send a PNG in base64")
    try:
        data = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return np.asarray(image.convert("RGB"))
    except _DAMAGED as error:
        raise ValueError(f"{name} is not a PNG in base64: {error}") from error


def _check_sizes(images: Sequence[np.ndarray], name: str) -> None:
    sizes = sorted({f"{image.shape[1]}x{image.shape[0]}" for image in images})
    if len(sizes) > 1:
        raise ValueError(f"{name} has frames of {', '.join(sizes)}; send frames of one size")

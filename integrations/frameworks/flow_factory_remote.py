"""Flow-Factory's remote protocol: the body of POST /compute, and its answer in one's own server."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
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
    prompts, videos = payload_videos(payload)
    frames = [_frames(video, f"video[{index}]") for index, video in enumerate(videos)]
    scores = detached_scores_of_list(reward, frames, prompts, fps=rate, weights=weights)
    return {"rewards": scores.total.tolist()}


def payload_videos(payload: Any) -> tuple[list[str | None], list[list[str]]]:
    """Prompts and videos of a payload, one text a frame, checked but not decoded.

    Raises:
        ValueError: it is no such payload.
    """
    videos = payload.get("video") if isinstance(payload, Mapping) else None
    if not isinstance(videos, list) or not videos:
        raise ValueError(
            "the payload has no list 'video'; the client's required_fields must be "
            "('prompt', 'video')"
        )
    prompts = checked_prompts(payload.get("prompt"), len(videos))
    for index, prompt in enumerate(prompts):
        try:
            (prompt or "").encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"prompt[{index}] has a lone surrogate at character {error.start}, which is half a "
                "character; send whole characters"
            ) from None
    for index, video in enumerate(videos):
        if not isinstance(video, list) or not video:
            raise ValueError(f"video[{index}] is no list of frames; send one PNG in base64 a frame")
        for number, text in enumerate(video):
            if not isinstance(text, str):
                raise ValueError(
                    f"video[{index}][{number}] is a {type(text).__name__}; send a PNG in base64"
                )
    return prompts, videos


def png_frame(
    text: str, name: str, check: Callable[[int, int], None] = lambda width, height: None
) -> Image.Image:
    """The RGB picture of one frame.

    Args:
        text: a PNG in base64.
        name: what errors call it.
        check: is told width and height before a pixel is decoded; what it raises goes through.

    Raises:
        ValueError: the text is something else, or damaged.
    """
    try:
        data = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            check(*image.size)
            return image.convert("RGB")
    except UnidentifiedImageError as error:  # its own message is an address in memory
        raise ValueError(f"{name} is not a PNG in base64: the bytes are no PNG") from error
    except _DAMAGED as error:
        raise ValueError(f"{name} is not a PNG in base64: {error}") from error


def _frames(video: Sequence[str], name: str) -> Tensor:
    """(T, 3, H, W) float in [0, 1]."""
    images = [png_frame(text, f"{name}[{index}]") for index, text in enumerate(video)]
    sizes = sorted({f"{image.width}x{image.height}" for image in images})
    if len(sizes) > 1:
        raise ValueError(f"{name} has frames of {', '.join(sizes)}; send frames of one size")
    levels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))
    return as_frames(levels, "thwc", kind="uint8")[0]

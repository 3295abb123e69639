"""What a pipeline is called with for several candidates of one prompt at once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_TEXT = re.compile(r"(negative_)?prompt(_\d)?")
_EMBEDDING = re.compile(r".*prompt.*(embeds|mask).*")
_RATES = ("frame_rate", "fps")
_OURS = {
    "generator": "each candidate has its own, from seed",
    "latents": "all candidates would start from them; each draws its own from its seed",
}
_FIXED = {"output_type": "pt", "return_dict": True}
# How an image stands for a batch of generators. One: the pipeline itself repeats it.
_IMAGES = {
    "WanImageToVideoPipeline": "one",
    "SkyReelsV2ImageToVideoPipeline": "one",
    "CogVideoXImageToVideoPipeline": "each",
    "LTXImageToVideoPipeline": "each",
    "StableVideoDiffusionPipeline": "each",
}
_REPEATED = {"one": ("image", "last_image", "image_embeds"), "each": ("image",), None: ()}
_VISUAL = re.compile(r".*(image|video|mask|condition|frames).*")
_SHARED = re.compile(r".*prompt.*|ip_adapter.*")  # repeated here, or by every pipeline


def accepted(pipe: Any) -> Mapping[str, inspect.Parameter]:
    """The parameters of calling a pipeline."""
    return inspect.signature(type(pipe).__call__).parameters


def takes_prompt(pipe: Any) -> bool:
    """Whether a pipeline is called with text; one that takes any argument is."""
    parameters = accepted(pipe).values()
    return any(p.name == "prompt" or p.kind is p.VAR_KEYWORD for p in parameters)


def check_arguments(pipe: Any, arguments: Mapping[str, Any], batch_size: int) -> None:
    """Raise where candidates would not be what is promised.

    Raises:
        ValueError: an argument that the caller of the pipeline decides here, another output than
            tensors, or an image or video for a batch of a pipeline whose way with them is unknown.
    """
    for name, reason in _OURS.items():
        if arguments.get(name) is not None:
            raise ValueError(f"leave {name} out: {reason}")
    for name, value in _FIXED.items():
        if arguments.get(name, value) != value:
            raise ValueError(
                f"{name} is {arguments[name]!r}; leave it out, frames come back as a tensor"
            )
    if arguments.get("num_videos_per_prompt", 1) != 1:
        raise ValueError(
            f"num_videos_per_prompt is {arguments['num_videos_per_prompt']}; leave it out and "
            "raise n or batch_size"
        )
    if batch_size == 1:
        return
    repeated = _REPEATED[_images_of(pipe)]
    for name, value in arguments.items():
        visual = _VISUAL.fullmatch(name) and not isinstance(value, int | float | str)
        if value is None or not visual or name in repeated or _SHARED.fullmatch(name):
            continue
        raise ValueError(
            f"how {type(pipe).__name__} takes {name} for a batch is not known; use batch_size=1"
        )


def batch_arguments(
    pipe: Any, prompt: str | None, arguments: Mapping[str, Any], size: int
) -> dict[str, Any]:
    """Arguments for `size` candidates: texts in lists, embeddings and images repeated.

    Args:
        pipe: the pipeline.
        prompt: one text; left out where the pipeline takes none or has `prompt_embeds`.
        arguments: of one candidate.
        size: number of candidates.

    Raises:
        ValueError: texts or embeddings for several videos.
    """
    made = dict(arguments, output_type="pt")
    if prompt is not None and takes_prompt(pipe) and made.get("prompt_embeds") is None:
        made["prompt"] = prompt
    for name, value in made.items():
        if _TEXT.fullmatch(name):
            made[name] = _texts(name, value, size)
        elif isinstance(value, Tensor) and _EMBEDDING.fullmatch(name):
            if value.shape[0] != 1:
                raise ValueError(
                    f"{name} has {value.shape[0]} rows; give those of one prompt, (1, ...)"
                )
            made[name] = value.repeat_interleave(size, dim=0)
        elif name == "image" and value is not None:
            made[name] = _images(value, size if _images_of(pipe) == "each" else None)
    return made


def frame_rate(
    pipe: Any, fps: float | None, arguments: Mapping[str, Any]
) -> tuple[float | None, dict[str, Any]]:
    """The rate that the reward is told, and the arguments with that of the pipeline.

    A pipeline that is conditioned on a rate (LTX's `frame_rate`, SVD's `fps`) and the reward get
    the same one, unless both were given.
    """
    made = dict(arguments)
    for name in _RATES:
        if name not in accepted(pipe):
            continue
        if fps is not None:
            made.setdefault(name, fps)
        rate = made.get(name, accepted(pipe)[name].default)
        return (fps if fps is not None else rate), made
    return fps, made


def _images_of(pipe: Any) -> str | None:
    return next((_IMAGES[c.__name__] for c in type(pipe).__mro__ if c.__name__ in _IMAGES), None)


def _texts(name: str, value: Any, size: int) -> Any:
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else list(value)
    if len(texts) != 1:
        raise ValueError(
            f"{name} has {len(texts)} texts; candidates share one, so call best_of_n once for each"
        )
    return texts * size


def _images(value: Any, size: int | None) -> Any:
    """An image, alone or in a batch of one, for `size` candidates; None: for all of them."""
    if isinstance(value, list | tuple):
        if len(value) != 1:
            raise ValueError(f"image has {len(value)} images; candidates share one")
        (value,) = value
    if isinstance(value, Tensor | np.ndarray):
        value = value[None] if value.ndim == 3 else value
        if len(value) != 1:
            raise ValueError(f"image has {len(value)} images; candidates share one")
        repeat = (size or 1,) + (1,) * (value.ndim - 1)
        return value.repeat(repeat) if isinstance(value, Tensor) else np.tile(value, repeat)
    return value if size is None else [value] * size


def checked_frames(frames: Any, size: int) -> Tensor:
    """What a pipeline returned, (size, T, 3, H, W) in float32 or wider.

    Raises:
        ValueError: something else.
    """
    if not isinstance(frames, Tensor) or frames.ndim != 5 or frames.shape[0] != size:
        got = tuple(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
        raise ValueError(
            f"the pipeline returned frames {got} for {size} candidates, not "
            f"({size}, T, 3, H, W); best_of_n is for video pipelines"
        )
    return frames.to(torch.promote_types(frames.dtype, torch.float32))

"""Videos of the prompts that a language model wrote."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.scheduler_noise import drawn_by

# What the generation decides itself, whatever a data set's columns are called.
OURS = frozenset(
    "prompt seed generator latents output_type return_dict num_videos_per_prompt "
    "callback_on_step_end callback_on_step_end_tensor_inputs self prompts seeds".split()
)


@dataclass(frozen=True)
class Request:
    """One video to make.

    Attributes:
        prompt: its text.
        seed: of its noise.
        judged_by: the text that the reward reads.
        columns: what else the generator is given, by name.
    """

    prompt: str
    seed: int
    judged_by: str
    columns: Mapping[str, Any] = field(default_factory=dict)


def generator_columns(generator: Any) -> frozenset[str] | None:
    """The names of data set columns that a generator is called with; None for any."""
    call = type(generator).__call__ if is_pipeline(generator) else generator
    parameters = inspect.signature(call).parameters.values()
    if not is_pipeline(generator) and any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return frozenset(p.name for p in parameters) - OURS


def generate(
    generator: Any, requests: Sequence[Request], arguments: Mapping[str, Any]
) -> list[Tensor]:
    """(T, 3, H, W) of each request, in float32 or wider; their columns must be equal.

    Args:
        generator: a diffusers pipeline, or `f(prompts, *, seeds, **columns)` that returns videos
            as (B, T, 3, H, W) or as a list of (T, 3, H, W), in [0, 1].
        requests: of one batch.
        arguments: of every call.

    Raises:
        ValueError: it returned something else.
    """
    made: dict[str, Any] = {**arguments, **requests[0].columns}
    prompts, seeds = [r.prompt for r in requests], [r.seed for r in requests]
    if is_pipeline(generator):
        frames = _of_pipeline(generator, prompts, seeds, made)
    else:
        frames = generator(prompts, seeds=seeds, **made)
    return checked_videos(frames, len(requests))


def checked_videos(frames: Any, count: int) -> list[Tensor]:
    """Videos that a generator returned.

    Raises:
        ValueError: another number of them, another layout, or integers.
    """
    if isinstance(frames, Tensor) and frames.ndim != 5:
        raise ValueError(
            f"the generator returned a tensor {tuple(frames.shape)}; return (B, T, 3, H, W) in "
            "[0, 1]"
        )
    if not isinstance(frames, Tensor | list | tuple) or len(frames) != count:
        got = f"{len(frames)} videos" if hasattr(frames, "__len__") else type(frames).__name__
        raise ValueError(f"the generator returned {got} for {count} prompts")
    for video in frames:
        if not isinstance(video, Tensor) or video.ndim != 4 or video.shape[1] != 3:
            shape = tuple(video.shape) if isinstance(video, Tensor) else type(video).__name__
            raise ValueError(f"the generator returned a video {shape}; return (T, 3, H, W)")
        if not video.is_floating_point():
            raise ValueError(f"the generator returned {video.dtype}; return floats in [0, 1]")
    return [video.to(torch.promote_types(video.dtype, torch.float32)) for video in frames]


def is_pipeline(generator: Any) -> bool:
    """Whether it is a pipeline of diffusers, rather than a function."""
    return hasattr(generator, "scheduler") and hasattr(generator, "components")


def _of_pipeline(
    pipe: Any, prompts: Sequence[str], seeds: Sequence[int], arguments: Mapping[str, Any]
) -> Any:
    made = dict(arguments)
    for name, value in made.items():  # a list of prompts needs lists of the other texts
        if isinstance(value, str) and name.startswith("negative_prompt"):
            made[name] = [value] * len(prompts)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with drawn_by(pipe.scheduler, generators):
        out = pipe(prompt=list(prompts), generator=generators, output_type="pt", **made)
    if out.frames is None:
        raise ValueError("the pipeline was interrupted, so that there is no video to score")
    return out.frames

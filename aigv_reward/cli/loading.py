"""The reward that a command scores with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from aigv_reward.cli.errors import CommandError, UsageError
from aigv_reward.dimensions import DIMENSIONS, Dimension

if TYPE_CHECKING:
    from aigv_reward.reward import VideoReward


MISFITS = (TypeError, AttributeError, LookupError, ArithmeticError)
"""What a config that nothing was checked about makes of a model; no argument of ours does."""


def parse_dimensions(names: str | None) -> tuple[Dimension, ...] | None:
    """Dimensions of a list with commas, in its order; None if none was given.

    Raises:
        UsageError: an unknown dimension.
    """
    if names is None:
        return None
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in DIMENSIONS:
            raise UsageError(f"unknown dimension {name!r}; choose from {', '.join(DIMENSIONS)}")
    return cast(tuple[Dimension, ...], chosen)


def load_reward(checkpoint: str | None, device: str | None) -> VideoReward:
    """The reward of a checkpoint, on a device.

    Args:
        checkpoint: as `VideoReward.from_pretrained` takes it.
        device: as torch names it; None for cuda where there is one, else cpu.

    Raises:
        CommandError: there is no such checkpoint, or it cannot be loaded.
        UsageError: there is no such device.
    """
    import torch
    from safetensors import SafetensorError

    from aigv_reward.reward import VideoReward

    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {name!r} cannot be used ({reason}); try --device cpu") from error
    try:
        with quiet_transformers():
            return VideoReward.from_pretrained(checkpoint, device=name)
    except ValueError as error:
        raise CommandError(str(error)) from error
    except (OSError, RuntimeError, SafetensorError, *MISFITS) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CommandError(
            f"checkpoint {checkpoint or 'lite'!r} cannot be loaded ({reason}); give "
            "--checkpoint a folder that save_pretrained or aigv-reward convert wrote, or a hub id"
        ) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No bars and no advice from transformers within the block."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def check_answers(
    reward: VideoReward, dimensions: Sequence[Dimension], prompts: Sequence[str | None]
) -> None:
    """Raise unless the reward answers `dimensions`, and reads text prompts if there are any.

    Raises:
        UsageError: a dimension that the checkpoint has no question for, or prompts that nothing
            would read.
    """
    for name in dimensions:
        if name not in reward.dimensions:
            raise UsageError(
                f"this checkpoint does not score {name!r}; it scores {', '.join(reward.dimensions)}"
            )
    if not any(prompts):
        return
    questions = reward.model.config.prompt_format.questions
    readers = [name for name in reward.dimensions if questions[name].prompted_ids is not None]
    if not readers:
        raise UsageError(
            "no question of this checkpoint takes a text prompt; leave the prompts out"
        )
    if not set(readers) & set(dimensions):
        raise UsageError(
            f"text prompts are read for {', '.join(readers)} only, and --dimensions leaves that "
            "out; add it, or leave the prompts out"
        )
    if reward.tokenizer is None:
        raise UsageError(
            "prompts were given, but the checkpoint has no tokenizer.json; add it to its folder, "
            "or leave the prompts out"
        )


def check_prompt(
    reward: VideoReward,
    prompt: str | None,
    dimensions: Sequence[Dimension],
    label: str = "the prompt",
) -> None:
    """Raise unless the reward can ask about a video with its text prompt, which is called `label`.

    Raises:
        ValueError: the prompt is too long, or no UTF-8 text.
    """
    from aigv_reward.reward.prompts import prompt_ids

    prompt_ids(
        [prompt],
        reward.tokenizer,
        reward.model.prompt_format,
        dimensions=dimensions,
        rows=getattr(reward.model.config.text_config, "vocab_size", None),
        labels=[label],
    )

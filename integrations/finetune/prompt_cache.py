"""Embeddings of prompts, computed once, so that the text encoders can leave the device."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.sampling_run import (
    Hook,
    Interrupted,
    Step,
    hooked,
    subclassed,
)

ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
GIVEN = ("prompt_embeds", "negative_prompt_embeds")
TEXTS = ("prompt", "prompt_2", "negative_prompt", "negative_prompt_2")
NOT_IN_KEY = ("self", "device", "batch_size", *GIVEN)


class PromptCache:
    """Remembers what a pipeline's `encode_prompt` says of each prompt.

    While it is open the pipeline is called with texts, as always; a prompt that is known is not
    encoded again. Embeddings rest on the CPU.

    Args:
        pipe: a pipeline with `encode_prompt`.

    Raises:
        ValueError: the pipeline has no `encode_prompt`, or its embeddings are not those of texts
            alone.
    """

    def __init__(self, pipe: Any) -> None:
        name = type(pipe).__name__
        if not hasattr(type(pipe), "encode_prompt"):
            raise ValueError(f"{name} has no encode_prompt; it takes no prompts")
        if "image" in inspect.signature(type(pipe).encode_prompt).parameters:
            raise ValueError(
                f"{name} encodes each prompt together with its image, so that no embedding is that "
                "of a prompt; use an image-to-video pipeline that encodes them apart, such as "
                "those of Wan, CogVideoX or LTX"
            )
        self.pipe = pipe
        self._rows: dict[Any, tuple[Tensor | None, ...]] = {}
        self._encoders: dict[str, Any] = {}
        self._stack = ExitStack()

    def __len__(self) -> int:
        return len(self._rows)

    def open(self) -> None:
        """Begin to remember; until `close`."""
        original = type(self.pipe).encode_prompt
        signature = inspect.signature(original)

        @functools.wraps(original)
        def encode_prompt(pipe: Any, *args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(pipe, *args, **kwargs)
            bound.apply_defaults()
            if any(bound.arguments.get(name) is not None for name in GIVEN):
                return original(pipe, *args, **kwargs)
            return self._encoded(original, bound)

        self._stack.enter_context(subclassed(self.pipe, encode_prompt=encode_prompt))

    def close(self) -> None:
        """Let the pipeline encode by itself again, its encoders back where they were."""
        self._stack.close()
        for name, module in self._encoders.items():
            setattr(self.pipe, name, module.to(self.pipe._execution_device))
        self._encoders = {}

    def fill(self, prompts: Iterable[str], arguments: Mapping[str, Any]) -> None:
        """Encode every prompt, as a call of the pipeline with these arguments does."""
        for prompt in dict.fromkeys(prompts):
            stop = _BeforeFirstStep()
            with hooked(self.pipe, stop):
                self.pipe(**{**arguments, "prompt": [prompt]})

    def free_encoders(self) -> None:
        """Take the text encoders out of the pipeline and off the device, until `close`.

        A prompt that was not encoded before is an error from then on.
        """
        for name in ENCODERS:
            module = getattr(self.pipe, name, None)
            if module is not None:
                self._encoders[name] = module.to("cpu")
                setattr(self.pipe, name, None)

    def _encoded(self, original: Any, bound: inspect.BoundArguments) -> tuple[Tensor | None, ...]:
        arguments = bound.arguments
        given = [arguments[name] for name in TEXTS if arguments.get(name) is not None]
        count = arguments.get("batch_size", 1)
        if given:
            count = 1 if isinstance(given[0], str) else len(given[0])
        device = arguments.get("device") or self.pipe._execution_device
        columns = zip(
            *(self._row(original, bound, row, count) for row in range(count)), strict=True
        )
        return tuple(
            None if column[0] is None else torch.cat([part.to(device) for part in column])
            for column in columns
        )

    def _row(
        self, original: Any, bound: inspect.BoundArguments, row: int, count: int
    ) -> tuple[Tensor | None, ...]:
        arguments = dict(bound.arguments)
        for name in TEXTS:
            value = arguments.get(name)
            if value is not None:
                texts = [value] * count if isinstance(value, str) else list(value)
                arguments[name] = [texts[row if len(texts) == count else 0]]
        if "batch_size" in arguments:
            arguments["batch_size"] = 1
        key = repr({k: v for k, v in arguments.items() if k not in NOT_IN_KEY})
        if key not in self._rows:
            if self._encoders:
                raise ValueError(
                    f"prompt {arguments.get('prompt')} was not encoded before the text encoders "
                    "were freed; set free_text_encoder=False to train or sample with new prompts"
                )
            with torch.no_grad():
                made = original(*_positional(bound.signature, arguments))
            self._rows[key] = tuple(None if part is None else part.cpu() for part in made)
        return self._rows[key]


class _BeforeFirstStep(Hook):
    """Ends a run when its prompt has been encoded and its model has answered once."""

    def before_step(self, step: Step) -> None:
        raise Interrupted(self)


def _positional(signature: inspect.Signature, arguments: Mapping[str, Any]) -> list[Any]:
    return [arguments[name] for name in signature.parameters]

"""The tokenizer of a checkpoint: read from its file, and checked against the prompt."""

from __future__ import annotations

import os

from transformers import PreTrainedTokenizerFast

from aigv_reward.regressor.prompt import LEVEL_WORDS, PromptFormat


def read_tokenizer(file: str | os.PathLike[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of a `tokenizer.json`.

    Raises:
        ValueError: it cannot be read, or is something else.
    """
    try:
        return PreTrainedTokenizerFast(tokenizer_file=os.fspath(file))
    except Exception as error:  # the tokenizers library raises nothing narrower
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{os.fspath(file)!r} is no tokenizer ({reason}); give the tokenizer.json that belongs "
            "to the language model, as its save_pretrained writes it"
        ) from error


def check_tokenizer(
    tokenizer: PreTrainedTokenizerFast, prompt: PromptFormat, rows: int | None
) -> None:
    """Raise unless a tokenizer can be the one that the prompt's ids come from.

    Args:
        tokenizer: reads text prompts.
        prompt: of the checkpoint; its level words must read as such.
        rows: tokens that the language model knows; None where its config does not say.

    Raises:
        ValueError: the tokenizer of another language model.
    """
    # An added token, as for padding, may have no row: a prompt that holds it is refused.
    added = tokenizer.get_added_vocab()
    own = [number for word, number in tokenizer.get_vocab().items() if word not in added]
    largest = max(own, default=-1)
    if rows is not None and largest >= rows:
        raise ValueError(
            f"the tokenizer has token ids up to {largest}, the language model knows 0..{rows - 1}; "
            "give the tokenizer of the checkpoint's language model"
        )
    found = [str(tokenizer.decode([token])).strip() for token in prompt.level_ids]
    if found != list(LEVEL_WORDS):
        raise ValueError(
            f"the tokenizer reads the level words' ids {list(prompt.level_ids)} as {found}, not "
            f"{list(LEVEL_WORDS)}; give the tokenizer of the checkpoint's language model"
        )

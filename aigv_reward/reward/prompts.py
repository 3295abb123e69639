"""The generator's text prompts as token ids, checked before any video is looked at."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from aigv_reward.dimensions import Dimension
from aigv_reward.regressor.prompt import PromptFormat


def prompt_ids(
    prompts: Sequence[str | None],
    tokenizer: PreTrainedTokenizerFast | None,
    form: PromptFormat,
    *,
    dimensions: Sequence[Dimension],
    rows: int | None = None,
    labels: Sequence[str] | None = None,
) -> list[list[int] | None]:
    """The token ids of each prompt; None for a video without one, or where nothing reads them.

    A prompt of whitespace alone is none.

    Args:
        prompts: one or None a video.
        tokenizer: of the checkpoint; None if it has none.
        form: of the checkpoint.
        dimensions: what is asked; prompts are read only if one of their questions takes them.
        rows: tokens that the language model knows; None where its config does not say.
        labels: what an error calls each prompt; default prompts[0], prompts[1], ...

    Raises:
        ValueError: an entry that is no text; and, where prompts are read, one that no UTF-8 text
            has, one that is too long or has a token that the model does not know, or a checkpoint
            without a tokenizer.
    """
    names = labels or [f"prompts[{index}]" for index in range(len(prompts))]
    for text in prompts:
        if not isinstance(text, str | None):
            raise ValueError(f"prompts has an entry {text!r}; give a string or None a video")
    given = [None if text is None or not text.strip() else text for text in prompts]
    if not any(given) or all(form.questions[name].prompted_ids is None for name in dimensions):
        return [None] * len(given)
    if tokenizer is None:
        raise ValueError(
            "prompts were given, but the checkpoint has no tokenizer.json; add one to its "
            "folder or pass prompts=None"
        )
    known: dict[str, list[int]] = {}
    for text, name in zip(given, names, strict=True):
        if text is not None and text not in known:
            known[text] = _encode(text, tokenizer, form.max_prompt_tokens, name)
            if rows is not None and max(known[text], default=0) >= rows:
                raise ValueError(
                    f"{name} has the token {tokenizer.decode([max(known[text])])!r}, which the "
                    f"checkpoint's language model, with {rows} tokens, does not know; leave it out"
                )
    return [None if text is None else known[text] for text in given]


def _encode(text: str, tokenizer: PreTrainedTokenizerFast, limit: int, name: str) -> list[int]:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} is no text: {text[error.start]!a} at character {error.start} is half of a "
            "character, left by bytes that are not UTF-8 or by a cut JSON escape; read the text "
            "in its own encoding, or leave the character out"
        ) from error
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) > limit:
        raise ValueError(
            f"{name} has {len(ids)} tokens, the limit is max_prompt_tokens={limit}; shorten it, or "
            "raise the limit in the config"
        )
    return ids

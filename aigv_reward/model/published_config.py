"""The config of a published AIGVEval checkpoint, of the published size or of its own JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from aigv_reward.dimensions import Dimension
from aigv_reward.model.configuration_aigv_reward import (
    PUBLISHED_LORA,
    PUBLISHED_SEMANTIC,
    PUBLISHED_TEXT,
    AIGVRewardConfig,
)
from aigv_reward.regressor.prompt import LEVEL_WORDS, PromptFormat, Question

REVERSED_VALUES = [1.0, 2.0, 3.0, 4.0, 5.0]
"""The published model reads its level words in reverse: "excellent" is worth 1, "bad" 5."""

_WHOLE = (
    *("vit_dim", "vit_depth", "vit_heads", "swin_dim"),
    *("llm_hidden", "llm_layers", "llm_heads", "llm_intermediate", "vocab_size", "lora_r"),
)
_POSITIVE = ("rms_norm_eps", "lora_alpha")
_LISTS = ("swin_depths", "swin_heads")
_KEYS = {*_WHOLE, *_POSITIVE, *_LISTS, "level_ids", "prompt_piece_ids"}


def published_config() -> AIGVRewardConfig:
    """The config of the published size."""
    return AIGVRewardConfig(
        lora=PUBLISHED_LORA,
        level_values=REVERSED_VALUES,
        logit_divisor=100.0,
        trained=["overall"],
        score_version="aigveval-1",
    )


def read_published_config(
    file: Path, tokenizer: PreTrainedTokenizerFast | None
) -> AIGVRewardConfig:
    """The config of another size, from a JSON file.

    Args:
        file: with the keys of `tests/reference/aigveval_small.json`.
        tokenizer: of the language model; with it, more than overall is asked about.

    Raises:
        ValueError: no JSON, keys that are missing, or values that make no config; each names the
            file.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{str(file)!r} cannot be read as JSON ({error}); give a file with the keys "
            f"{sorted(_KEYS)}"
        ) from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{str(file)!r} holds a {type(values).__name__}, not an object; give one with the keys "
            f"{sorted(_KEYS)}"
        )
    if missing := sorted(_KEYS - values.keys()):
        raise ValueError(f"{str(file)!r} lacks the keys {missing}; give them")
    for key in sorted(_KEYS):
        if (wanted := _unmet(key, values[key])) is not None:
            raise ValueError(f"{str(file)!r}: {key} is {_short(values[key])}; it must be {wanted}")
    try:
        return _config(values, tokenizer)
    except ValueError as error:
        raise ValueError(f"{str(file)!r} makes no config: {error}") from error


def _unmet(key: str, value: Any) -> str | None:
    """What the value of a key must be, if it is not."""
    if key in _WHOLE and not _is_whole(value):
        return "a whole number above 0"
    if key in _POSITIVE and (type(value) not in (int, float) or not value > 0):
        return "a number above 0"
    if key in _LISTS and not _are_whole(value):
        return "a list of whole numbers above 0"
    if key == "level_ids" and not (
        isinstance(value, dict) and all(_is_id(value.get(word)) for word in LEVEL_WORDS)
    ):
        return f"an object with a token id for each of {', '.join(LEVEL_WORDS)}"
    if key == "prompt_piece_ids" and not (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(piece, list) and piece and all(map(_is_id, piece)) for piece in value)
    ):
        return "4 lists of token ids: three pieces and the question"
    return None


def _is_id(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_whole(value: Any) -> bool:
    return type(value) is int and value > 0


def _are_whole(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_whole, value))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _config(
    values: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast | None
) -> AIGVRewardConfig:
    width = values["vit_dim"]
    return AIGVRewardConfig(
        text_config={
            **PUBLISHED_TEXT,
            "vocab_size": values["vocab_size"],
            "hidden_size": values["llm_hidden"],
            "intermediate_size": values["llm_intermediate"],
            "num_hidden_layers": values["llm_layers"],
            "num_attention_heads": values["llm_heads"],
            "num_key_value_heads": values["llm_heads"],
            "rms_norm_eps": values["rms_norm_eps"],
        },
        semantic_config={
            **PUBLISHED_SEMANTIC,
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": values["vit_depth"],
            "num_attention_heads": values["vit_heads"],
        },
        technical_config={
            "embed_dim": values["swin_dim"],
            "depths": values["swin_depths"],
            "num_heads": values["swin_heads"],
        },
        lora={**PUBLISHED_LORA, "r": values["lora_r"], "lora_alpha": values["lora_alpha"]},
        prompt=_prompt(values, tokenizer).to_dict(),
        level_values=REVERSED_VALUES,
        logit_divisor=100.0,
        trained=["overall"],
        score_version="aigveval-1",
    )


def _prompt(values: Mapping[str, Any], tokenizer: PreTrainedTokenizerFast | None) -> PromptFormat:
    """The recorded ids; questions beyond the published one come from the tokenizer, if any."""
    *pieces, question = (tuple(piece) for piece in values["prompt_piece_ids"])
    recorded: dict[Dimension, Question] = {"overall": Question(question)}
    if tokenizer is not None:
        recorded = PromptFormat.from_tokenizer(tokenizer, lead=question[:1]).questions | recorded
    excellent, good, fair, poor, bad = (values["level_ids"][word] for word in LEVEL_WORDS)
    return PromptFormat(
        pieces=(pieces[0], pieces[1], pieces[2]),
        questions=recorded,
        level_ids=(excellent, good, fair, poor, bad),
    )

"""The text in what TRL hands to a reward function, plain or conversational."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def text_of(value: Any) -> str:
    """The text of a prompt or a completion, without space around it.

    Args:
        value: plain text, or messages {"role", "content"}, of which the last counts: of a prompt
            what the user said, of a completion what the assistant answered. Content is text or
            parts, of which those of type "text" count.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Sequence) and value and isinstance(value[-1], Mapping):
        content = value[-1].get("content")
        if isinstance(content, str):
            return content.strip()
        if isinstance(content, Sequence) and all(isinstance(part, Mapping) for part in content):
            parts = [part for part in content if part.get("type") == "text"]
            return " ".join(str(part.get("text", "")).strip() for part in parts).strip()
    raise ValueError(
        f"a prompt or completion is {str(value)[:80]!r}; it must be text, or a list of messages "
        "whose last one has a content"
    )


def check_lengths(prompts: Sequence[Any], completions: Sequence[Any]) -> None:
    """Raises ValueError where there is not one prompt for each completion."""
    if len(prompts) != len(completions):
        raise ValueError(
            f"there are {len(prompts)} prompts and {len(completions)} completions; TRL repeats a "
            "prompt for each of its completions"
        )


def column(columns: Mapping[str, Any], name: str, count: int) -> Sequence[Any]:
    """A data set column, one cell a completion.

    Raises:
        ValueError: it is not there, or has another length.
    """
    if name not in columns:
        known = [key for key, value in columns.items() if isinstance(value, list | tuple)]
        raise ValueError(
            f"the data set has no column {name!r}; there are {', '.join(known) or 'none'}. TRL "
            "drops columns unless remove_unused_columns=False"
        )
    cells = columns[name]
    if not isinstance(cells, Sequence) or isinstance(cells, str) or len(cells) != count:
        raise ValueError(f"column {name!r} is not a list of {count}, one cell a completion")
    return cells

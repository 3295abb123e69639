"""What a request asks for, checked: its JSON, and where each video's bytes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aigv_reward.integrations.server.refusals import ItemFailed, RequestRefused
from aigv_reward.integrations.server.sent_json import read_json

LONGEST_PROMPT = 20_000
LONGEST_PATH = 4096
HALF = "a lone surrogate, which is half a character; send whole characters"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Item(_Strict):
    """One video: its id (its place, where it has none) and the text that it was made from."""

    id: Annotated[str, Field(max_length=200)] | None = None
    prompt: Annotated[str, Field(max_length=LONGEST_PROMPT)] | None = None


class FileItem(Item):
    """A video file among the parts of the body, by its part's name."""

    file: str


class PathItem(Item):
    """A video file on the server, by its path."""

    path: Annotated[str, Field(max_length=LONGEST_PATH)]


class TensorItem(Item):
    """A tensor of the body, by its name, and its frame rate."""

    tensor: str
    fps: Annotated[float, Field(gt=0, strict=False)] | None = None


Kind = TypeVar("Kind", bound=Item)


class Asked(_Strict, Generic[Kind]):
    """A request: its videos, and which dimensions to score (None: all)."""

    items: Annotated[list[Kind], Field(min_length=1)]
    dimensions: Annotated[list[str], Field(min_length=1)] | None = None


@dataclass(frozen=True)
class Video:
    """One video of a request, ready to be decoded.

    Attributes:
        id: what its result is called.
        prompt: or None.
        job: what a decoder is told; or why it cannot be decoded at all.
    """

    id: str
    prompt: str | None
    job: dict[str, Any] | ItemFailed


def parse(kind: type[Asked[Kind]], text: str | bytes, *, most: int) -> Asked[Kind]:
    """The request in a JSON text, every item with an id.

    Args:
        kind: `Asked[...]` of the items that the body's encoding has.
        text: JSON.
        most: items.

    Raises:
        RequestRefused: not JSON, fields that are missing, unknown or of another type, too many
            items, or two with the same id.
    """
    try:
        content = read_json(text)
    except ValueError as error:
        raise _invalid(f"the request is {error}") from None
    items = content.get("items") if isinstance(content, dict) else None
    if isinstance(items, list) and len(items) > most:
        raise RequestRefused(
            413, "too_large", f"{len(items)} items, above the limit of {most}; send fewer"
        )
    try:
        asked = kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        reason = HALF if first["type"] == "string_unicode" else first["msg"]
        raise _invalid(f"{where[:200] or 'the request'}: {reason}") from None
    for index, item in enumerate(asked.items):
        item.id = str(index) if item.id is None else item.id
    ids = [item.id for item in asked.items]
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise _invalid(f"two items have the id {str(twice)[:80]!r}; make them differ")
    return asked


def _invalid(reason: str) -> RequestRefused:
    return RequestRefused(422, "invalid_request", reason)


def check_dimensions(asked: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """What to score, each once, in the order of the request; all that is known where it is None.

    Raises:
        RequestRefused: a dimension that the checkpoint does not answer.
    """
    if asked is None:
        return tuple(known)
    for name in asked:
        if name not in known:
            raise _invalid(
                f"unknown dimension {name[:80]!r}; this server scores {', '.join(known)}"
            )
    return tuple(dict.fromkeys(asked))

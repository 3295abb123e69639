"""One video of a corpus: where its bytes are, and what is known of it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Kind = Literal["file", "tar", "parquet", "dataset"]
Stamp: TypeAlias = tuple[int, int] | None
"""Bytes and nanoseconds of the last change of a file; None where there is no such file."""


@dataclass(frozen=True)
class Item:
    """A video to score.

    Attributes:
        key: what the source calls it: its path below the folder, its cell in the list, the tar and
            the member. Never the base name alone.
        kind: "file" is `path` itself; "tar" the bytes of `path` from `offset`; "parquet" the row
            `offset` of the list `path`; "dataset" the row `offset` of a data set in memory.
        path: absolute, as bytes, because not every name is UTF-8; empty for "dataset".
        offset: see `kind`.
        size: bytes of a tar member.
        prompt: the text it was made from.
        extra: the other columns of its list, a JSON object.
        stamp: of `path` when the plan was made.
    """

    key: bytes
    kind: Kind
    path: bytes
    offset: int = 0
    size: int = 0
    prompt: str | None = None
    extra: str = "{}"
    stamp: Stamp = None

    def row_id(self, ordinal: int) -> str:
        """32 hexadecimal digits from the item's place in the corpus and its key."""
        return hashlib.sha256(b"%d\0" % ordinal + self.key).hexdigest()[:32]

    @property
    def name(self) -> str:
        """The key for people."""
        return os.fsdecode(self.key)

    @property
    def location(self) -> bytes:
        """Its path; of a video that is no file of its own, with its name in what holds it."""
        inside = b"" if self.kind == "file" else self.key.partition(b"/")[2].strip(b"/")
        return os.path.join(self.path, inside) if self.path and inside else self.path or self.key

    def record(self) -> list[Any]:
        """Plain values that say all of it."""
        stamp = list(self.stamp) if self.stamp else None
        place = [os.fsdecode(self.path), self.offset, self.size]
        return [self.name, self.kind, *place, self.prompt, self.extra, stamp]

    @classmethod
    def from_record(cls, values: list[Any]) -> Item:
        """The item that `record` wrote."""
        key, kind, path, offset, size, prompt, extra, stamp = values
        bounds = (stamp[0], stamp[1]) if stamp else None
        raw = os.fsencode(key), os.fsencode(path)
        return cls(raw[0], kind, raw[1], offset, size, prompt, extra, bounds)


def stamp_of(path: str | bytes) -> Stamp:
    """The stamp of a file as it is now."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def extra_json(cells: Mapping[str, Any]) -> str:
    """Columns that are kept, as JSON with sorted keys.

    A number that is not finite becomes null, as lists write a value that is missing; whatever
    else JSON cannot hold becomes text.
    """
    try:
        return json.dumps(dict(cells), sort_keys=True, default=str, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(dict(cells)), sort_keys=True, default=str, allow_nan=False)


def surrogate_in(text: str) -> re.Match[str] | None:
    """The first surrogate of a text, which makes it no Unicode, such as half an emoji in JSON."""
    return re.search("[\ud800-\udfff]", text)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value

"""What a run scores and with what; a run that is resumed must have the same plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any, Final

from aigv_reward.corpus.item import Item

FORMAT: Final = 1
LARGEST_SHARD: Final = 256
LIBRARIES: Final = ("torch", "transformers", "av", "numpy", "pyarrow")


def shard_size_for(total: int) -> int:
    """Rows of a shard where nobody says: 64 shards or more, of 256 rows at most."""
    return max(1, min(LARGEST_SHARD, total // 64))


def versions() -> dict[str, str | None]:
    """Of the libraries that scores depend on."""
    from aigv_reward import __version__

    found: dict[str, str | None] = {"aigv-reward": __version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def read_plan(content: bytes, folder: Path) -> dict[str, Any]:
    """The plan that a run's file holds.

    Raises:
        ValueError: it is none of ours, or of a format that this version does not read.
    """
    try:
        plan = json.loads(content)
    except ValueError:
        plan = None
    known = isinstance(plan, dict) and {"checkpoint", "input", "shard_size"} <= plan.keys()
    if not known or not isinstance(plan["input"], dict) or "total" not in plan["input"]:
        raise ValueError(
            f"{str(folder)!r} is no run (its plan.json is not one that aigv-reward wrote); name "
            "the folder of a run, or make one with aigv-reward score INPUT --out RUN"
        )
    if plan.get("format") != FORMAT:
        raise ValueError(
            f"run {str(folder)!r} has the format {plan.get('format')!r}, and this version of "
            f"aigv-reward reads {FORMAT}; use the version that made it, or score in a new run"
        )
    return dict(plan)


def item_lines(items: Sequence[Item]) -> bytes:
    """The corpus as it is kept beside the plan, a JSON array a line, in ASCII."""
    return "".join(f"{json.dumps(item.record())}\n" for item in items).encode()


def read_items(path: Path, start: int = 0, count: int | None = None) -> Iterator[Item]:
    """The items that `item_lines` wrote, or `count` of them from `start` on."""
    stop = None if count is None else start + count
    with open(path, encoding="ascii") as lines:
        for line in islice(lines, start, stop):
            yield Item.from_record(json.loads(line))


def digest(content: bytes) -> str:
    """sha256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def files_sha256(folder: Path) -> str:
    """Of all that a checkpoint's scores depend on: its config, weights and tokenizer."""
    whole = hashlib.sha256()
    names = ("config.json", "tokenizer.json")
    for path in sorted([*folder.glob("*.safetensors"), *map(folder.joinpath, names)]):
        if path.exists():
            with open(path, "rb") as file:
                each = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.name} {each}\n".encode())
    return whole.hexdigest()


def difference(old: Any, new: Any, name: str = "") -> str | None:
    """The first place where two plans differ, in words; None where they are the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            said = difference(old.get(key), new.get(key), f"{name}.{key}" if name else key)
            if said is not None:
                return said
        return None
    return None if old == new else f"{name} was {json.dumps(old)} and is {json.dumps(new)}"


def item_difference(old: Iterable[Item], new: Iterable[Item]) -> str | None:
    """The first video in which two inputs differ, in words; None where they are the same.

    The same file may be spelled otherwise, as `a.mp4` and `./a.mp4`.
    """
    for place, (before, after) in enumerate(zip_longest(old, new)):
        if before == after:
            continue
        if before is None:
            return f"video {place}, {after.name!r}, was not in the input"
        if after is None:
            return f"video {place}, {before.name!r}, is no longer in the input"
        if before.path != after.path or (before.key != after.key and not before.path):
            return f"video {place} was {before.name!r} and is {after.name!r}"
        for name in ("prompt", "extra", "stamp", "offset", "size", "kind"):
            one, two = getattr(before, name), getattr(after, name)
            if one != two:
                label = "(bytes, time of change)" if name == "stamp" else name
                return f"{label} of video {place}, {before.name!r}, was {one!r} and is {two!r}"
    return None

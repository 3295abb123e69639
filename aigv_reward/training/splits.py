"""Training, validation and test rows that share neither a text prompt nor a video."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from aigv_reward.training.opinions import Opinion, Preference

Item = Opinion | Preference
Split = Literal["train", "validation", "test"]

SHOWN = 60  # letters of a prompt in a message


def item_videos(item: Item) -> tuple[Path, ...]:
    """The one video of an opinion, or the two of a preference."""
    return (item.path,) if isinstance(item, Opinion) else (item.path_a, item.path_b)


def normalized_prompt(prompt: str) -> str:
    """The prompt without case and with single spaces, by which prompts are the same."""
    return " ".join(prompt.casefold().split())


def split_by_prompt(
    items: Sequence[Item],
    digests: Mapping[Path, str],
    fractions: Mapping[Split, float],
    *,
    seed: int,
) -> dict[Split, list[Item]]:
    """The items dealt out so that no prompt and no video stands in two splits.

    Items that share a prompt, or a video's contents, stay together. The result depends on the
    items and the seed, not on their order.

    Args:
        items: opinions, preferences or both.
        digests: {path: digest of the file's contents}.
        fractions: {split: share of the items}; what they lack to 1 goes to "train".
        seed: of the draw.

    Returns:
        {split: items in their order}, with every split of `fractions` and "train".

    Raises:
        ValueError: too few groups to fill every split whose fraction is above 0.
    """
    shares: dict[Split, float] = {**fractions, "train": 1 - sum(fractions.values())}
    groups = _groups(items, digests)
    order = sorted(groups, key=lambda group: min(_keys(items[i], digests) for i in group))
    random.Random(seed).shuffle(order)
    lacking = {name: share * len(items) for name, share in shares.items()}
    least = min(number for number in lacking.values() if number > 0)
    order.sort(key=lambda group: len(group) <= least)  # what fits into one split only comes first
    chosen: dict[int, Split] = {}
    for group in order:
        name = max(lacking, key=lambda split: (lacking[split], split))
        lacking[name] -= len(group)
        chosen |= dict.fromkeys(group, name)
    result: dict[Split, list[Item]] = {name: [] for name in shares}
    for index, item in enumerate(items):
        result[chosen[index]].append(item)
    empty = [name for name, share in shares.items() if share > 0 and not result[name]]
    if empty:
        raise ValueError(
            f"{len(items)} rows fall into {len(groups)} groups that share a prompt or a video, too "
            f"few for {', '.join(shares)}: {' and '.join(empty)} would be empty; add prompts, set "
            "the fraction to 0, or give it lists of its own"
        )
    return result


def check_leaks(splits: Mapping[Split, Sequence[Item]], digests: Mapping[Path, str]) -> None:
    """Raise where a prompt or a video stands in two splits.

    Raises:
        ValueError: it does; names the first one, the splits and the number of such prompts.
    """
    prompts = {
        name: Counter(normalized_prompt(item.prompt) for item in items if item.prompt)
        for name, items in splits.items()
    }
    videos = {
        name: {digests[path]: path for item in items for path in item_videos(item)}
        for name, items in splits.items()
    }
    for first, second in _pairs(splits):
        if shared := sorted(prompts[first].keys() & prompts[second].keys()):
            prompt = shared[0]
            raise ValueError(
                f"{len(shared)} text prompts are in both {first} and {second}, such as "
                f"{_short(prompt)!r} ({prompts[first][prompt]} and {prompts[second][prompt]} "
                "rows); the figures would be too good. Move all rows of a prompt to one list, or "
                "let validation_fraction and test_fraction split them"
            )
        if both := sorted(videos[first].keys() & videos[second].keys()):
            here, there = videos[first][both[0]], videos[second][both[0]]
            raise ValueError(
                f"{len(both)} videos are in both {first} and {second}, such as {str(here)!r} and "
                f"{str(there)!r}, which have the same contents; keep each in one list"
            )


def _short(prompt: str) -> str:
    return prompt if len(prompt) <= SHOWN else prompt[: SHOWN - 3] + "..."


def _pairs(splits: Mapping[Split, object]) -> Iterator[tuple[Split, Split]]:
    names = list(splits)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            yield first, second


def _keys(item: Item, digests: Mapping[Path, str]) -> list[str]:
    """What other items may share with this one; the prompt first, so that it orders groups."""
    prompt = [f"prompt {normalized_prompt(item.prompt)}"] if item.prompt else []
    return prompt + [f"video {digests[path]}" for path in item_videos(item)]


def _groups(items: Iterable[Item], digests: Mapping[Path, str]) -> list[list[int]]:
    """Indices of items that are connected by what they share."""
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        leader.setdefault(key, key)
        while leader[key] != key:
            leader[key] = leader[leader[key]]
            key = leader[key]
        return key

    owned = []
    for item in items:
        keys = _keys(item, digests)
        for key in keys[1:]:
            leader[find(key)] = find(keys[0])
        owned.append(keys[0])
    groups: dict[str, list[int]] = {}
    for index, key in enumerate(owned):
        groups.setdefault(find(key), []).append(index)
    return list(groups.values())

"""The rows of a run, split, with what is known about them before any model is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aigv_reward.dimensions import DIMENSIONS, Dimension
from aigv_reward.training.arguments import DataArguments
from aigv_reward.training.lists import read_opinions, read_preferences, rescale_opinions
from aigv_reward.training.opinions import Opinion, Preference
from aigv_reward.training.splits import (
    Item,
    Split,
    check_leaks,
    item_videos,
    normalized_prompt,
    split_by_prompt,
)


@dataclass(frozen=True)
class SplitRows:
    """What a run trains on, stops by and is judged by.

    Attributes:
        splits: {split: its rows and pairs, opinions on the scale 1..5}.
        digests: {path: sha256 of the file}.
        skipped: {path: why it cannot be read}; rows with them were left out.
    """

    splits: Mapping[Split, Sequence[Item]]
    digests: Mapping[Path, str]
    skipped: Mapping[Path, str]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Dimensions that some training row has."""
        found = {name for item in self.splits["train"] for name in said(item)}
        return tuple(name for name in DIMENSIONS if name in found)

    def digest(self) -> str:
        """sha256 of what is trained on, validated and tested: contents, prompts and opinions."""
        facts = {
            name: [
                [[self.digests[path] for path in item_videos(item)], item.prompt, dict(said(item))]
                for item in items
            ]
            for name, items in self.splits.items()
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def sizes(self) -> dict[Split, dict[str, int]]:
        """{split: {"rows", "pairs", "videos", "prompts"}}."""
        return {
            name: {
                "rows": sum(isinstance(item, Opinion) for item in items),
                "pairs": sum(isinstance(item, Preference) for item in items),
                "videos": len({self.digests[path] for i in items for path in item_videos(i)}),
                "prompts": len({normalized_prompt(i.prompt) for i in items if i.prompt}),
            }
            for name, items in self.splits.items()
        }

    def write(self, folder: Path) -> None:
        """SPLIT.jsonl and SPLIT_pairs.jsonl, as `read_opinions` and `read_preferences` take them.

        Opinions are on the scale 1..5, paths absolute.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, items in self.splits.items():
            for kind, suffix in ((Opinion, ""), (Preference, "_pairs")):
                rows = [_record(item) for item in items if isinstance(item, kind)]
                if rows:
                    text = "".join(json.dumps(row) + "\n" for row in rows)
                    (folder / f"{name}{suffix}.jsonl").write_text(text)


def said(item: Item) -> Mapping[Dimension, Any]:
    """{dimension: opinion or choice}."""
    return item.scores if isinstance(item, Opinion) else item.choices


def _record(item: Item) -> dict[str, Any]:
    values = {name: value for name, value in asdict(item).items() if value is not None}
    for name in ("path", "path_a", "path_b"):
        if name in values:
            values[name] = str(values[name].absolute())
    return {k: v for k, v in values.items() if k not in ("scores", "choices")} | dict(said(item))


def read_splits(data: DataArguments) -> dict[Split, list[Item]]:
    """The items of the lists by the split that each list is for.

    Raises:
        ValueError: a list is malformed, or lists contradict each other.
    """
    lists: dict[Split, tuple[list[str], list[str]]] = {
        "train": (data.opinions, data.preferences),
        "validation": (data.validation_opinions, data.validation_preferences),
        "test": (data.test_opinions, data.test_preferences),
    }
    return {
        split: [
            *rescale_opinions(merge_opinions(_opinions(data, opinions)), data.mos_range),
            *(
                pair
                for name in preferences
                for pair in read_preferences(name, root=data.root, columns=data.preference_columns)
            ),
        ]
        for split, (opinions, preferences) in lists.items()
    }


def _opinions(data: DataArguments, lists: Iterable[str]) -> list[Opinion]:
    return [
        opinion
        for name in lists
        for opinion in read_opinions(name, root=data.root, columns=data.columns)
    ]


def merge_opinions(opinions: Iterable[Opinion]) -> list[Opinion]:
    """One opinion a video, from lists that may rate different dimensions of it.

    Raises:
        ValueError: two lists disagree about a video's score or prompt.
    """
    merged: dict[Path, Opinion] = {}
    for opinion in opinions:
        earlier = merged.setdefault(opinion.path, opinion)
        scores = {**opinion.scores, **earlier.scores}
        agree = all(scores[name] == value for name, value in opinion.scores.items())
        if not agree or earlier.prompt != opinion.prompt:
            raise ValueError(
                f"two lists give {str(opinion.path)!r} different scores or prompts; average them "
                "into one row"
            )
        merged[opinion.path] = Opinion(opinion.path, opinion.prompt, scores, earlier.generator)
    return list(merged.values())


def deal_out(
    given: Mapping[Split, Sequence[Item]],
    data: DataArguments,
    digests: Mapping[Path, str],
    skipped: Mapping[Path, str],
) -> SplitRows:
    """Splits without unreadable videos, held-out ones drawn where they have no lists.

    Raises:
        ValueError: nothing is left to train on, the rows are too few to split, or a prompt or a
            video is in two splits.
    """
    kept = {
        split: [item for item in items if not any(path in skipped for path in item_videos(item))]
        for split, items in given.items()
    }
    if not kept["train"]:
        raise ValueError(f"all {len(given['train'])} training rows have unreadable videos")
    wanted: dict[Split, float] = {
        "validation": data.validation_fraction,
        "test": data.test_fraction,
    }
    fractions = {split: share for split, share in wanted.items() if share and not given[split]}
    drawn = split_by_prompt(kept["train"], digests, fractions, seed=data.split_seed)
    splits = {split: items for split, items in {**kept, **drawn}.items() if items}
    check_leaks(splits, digests)
    return SplitRows(splits, digests, skipped)

"""No prompt and no video stands in two splits."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.training.opinions import Opinion, Preference
from aigv_reward.training.splits import check_leaks, item_videos, split_by_prompt

FRACTIONS = {"validation": 0.2, "test": 0.2}


def row(video: str, prompt: str | None) -> Opinion:
    return Opinion(Path(video), prompt, {"overall": 3.0})


def pair(first: str, second: str, prompt: str | None) -> Preference:
    return Preference(Path(first), Path(second), prompt, {"overall": "A"})


def contents(items) -> dict[Path, str]:
    """A file's contents are named by the letters of its name."""
    return {path: path.stem.rstrip("0123456789") for item in items for path in item_videos(item)}


def many(count: int = 100) -> list[Opinion]:
    letters = "abcdefghij"
    names = ["".join(letters[int(digit)] for digit in f"{i:03}") for i in range(count)]
    return [row(name, f"prompt {i // 4}") for i, name in enumerate(names)]


def test_the_shares_are_met() -> None:
    items = many()
    splits = split_by_prompt(items, contents(items), FRACTIONS, seed=0)
    assert {name: len(part) for name, part in splits.items()} == {
        "validation": 20,
        "test": 20,
        "train": 60,
    }
    check_leaks(splits, contents(items))
    assert [item for item in items if item in splits["train"]] == splits["train"]


def test_the_split_follows_from_the_items_and_the_seed_alone() -> None:
    items = many()
    shuffled = random.Random(0).sample(items, len(items))
    one = split_by_prompt(items, contents(items), FRACTIONS, seed=3)
    same = split_by_prompt(shuffled, contents(items), FRACTIONS, seed=3)
    other = split_by_prompt(items, contents(items), FRACTIONS, seed=4)
    for name in one:
        assert {item.path for item in one[name]} == {item.path for item in same[name]}
    assert one["test"] != other["test"]


def test_prompts_are_compared_without_case_and_spaces() -> None:
    items = [row("a", "A  cat\n surfs"), row("b", " a cat SURFS "), row("c", "a dog")]
    splits = split_by_prompt(items, contents(items), {"test": 0.4}, seed=0)
    assert {frozenset(item.path.name for item in part) for part in splits.values()} == {
        frozenset({"a", "b"}),
        frozenset({"c"}),
    }


def test_rows_without_prompts_are_grouped_by_contents() -> None:
    """x1 and x2 have the same contents, and y joins the prompt of x2 to a pair."""
    items = [row("x1", None), row("x2", "p"), pair("y", "z", "P"), row("w", None)]
    for seed in range(5):
        splits = split_by_prompt(items, contents(items), {"test": 0.3}, seed=seed)
        assert {len(part) for part in splits.values()} == {1, 3}
        assert items[3] in min(splits.values(), key=len)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([None, *"pqrstuvw"])), min_size=3
    ),
    st.integers(0, 5),
)
def test_no_split_ever_leaks(rows: list[tuple[str, str | None]], seed: int) -> None:
    items = [row(f"{video}{number}", prompt) for number, (video, prompt) in enumerate(rows)]
    try:
        splits = split_by_prompt(items, contents(items), FRACTIONS, seed=seed)
    except ValueError as error:
        assert "too few for" in str(error)
        return
    check_leaks(splits, contents(items))
    assert sorted(i.path.name for part in splits.values() for i in part) == sorted(
        i.path.name for i in items
    )


def test_too_few_prompts_to_split() -> None:
    items = [row(name, "one prompt") for name in "abcdef"]
    message = r"6 rows fall into 1 groups .*, too few for validation, test, train: .* would be empt"
    with pytest.raises(ValueError, match=message):
        split_by_prompt(items, contents(items), FRACTIONS, seed=0)


def test_a_leaking_prompt_is_named() -> None:
    long = "a very long prompt " * 10
    splits = {
        "train": [row("a", "A Cat"), row("b", "a cat"), row("c", long)],
        "test": [pair("d", "e", "a  cat"), row("f", long.upper())],
    }
    message = r"2 text prompts are in both train and test, such as 'a cat' \(2 and 1 rows\); the"
    with pytest.raises(ValueError, match=message):
        check_leaks(splits, contents([i for part in splits.values() for i in part]))
    splits["train"] = splits["train"][2:]
    with pytest.raises(ValueError, match=r"1 text prompts .* 'a very long prompt .*\.\.\.' \("):
        check_leaks(splits, contents([i for part in splits.values() for i in part]))


def test_a_leaking_video_is_named() -> None:
    splits = {"train": [row("a", "p")], "validation": [], "test": [pair("b", "a2", "q")]}
    message = r"1 videos are in both train and test, such as 'a' and 'a2', which have the same con"
    with pytest.raises(ValueError, match=message):
        check_leaks(splits, contents([i for part in splits.values() for i in part]))

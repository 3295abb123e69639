"""Which candidate an answer chooses."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.integrations.trl.column_reward import choice

FILES = ["clips/cat.mp4", "clips/cat_2.mp4", "clips/dog.mp4"]
WORDS = st.text("abcxyz_-", min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("1", 0),
        ("3", 2),
        ("  2.", 1),
        ("I choose clip #2!", 1),
        ("(3)", 2),
        ("2\n\n2", 1),
        ("clips/dog.mp4", 2),
        ("dog.mp4", 2),
        ("The best is dog.", 2),
        ("cat_2", 1),
        ("cat_2.mp4 is the best of 3", 1),  # names go before numbers
        ("cat, that is cat.mp4", 0),
        ("/data/clips/dog.mp4", 2),
    ],
)
def test_one_candidate_is_chosen(answer: str, index: int) -> None:
    assert choice(answer, FILES) == index


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "the best one",
        "0",
        "4",
        "-1",
        "1 or 2",
        "1, 7",
        "1.5",
        "0.2",
        "v2",
        "2nd",
        "2-3",
        "1000000",
        "cat or dog",
        "dogs",
        "hotdog",
        "dog-2",
        "cat.webm",
        "dog.mp4.bak",
        "DOG",
    ],
)
def test_nothing_or_several_are_no_choice(answer: str) -> None:
    assert choice(answer, FILES) is None


@pytest.mark.parametrize(
    ("answer", "names", "index"),
    [
        ("dog.mp4", ["x/dog.mp4", "dog.mp4"], 1),  # a full name before the end of another
        ("x/dog.mp4", ["x/dog.mp4", "dog.mp4"], 0),
        ("dog", ["x/dog.mp4", "dog.mp4"], None),
        ("0.mp4", ["a/0.mp4", "b/0.mp4"], None),
        ("b/0.mp4", ["a/0.mp4", "b/0.mp4"], 1),
        ("clip 0, so b/0.mp4", ["a/0.mp4", "b/0.mp4"], 1),
        ("clip", ["clip.mp4", "clip.webm"], None),
        ("clip.webm", ["clip.mp4", "clip.webm"], 1),
        ("2", ["1.mp4", "2.mp4", "3.mp4"], 1),
        ("2", ["2.mp4", "1.mp4"], 0),  # it is a name
        ("my cat.mp4", ["dir/my cat.mp4", "cat.mp4"], 0),
        ("a+b (1).mp4", ["a+b (1).mp4", "a+b (2).mp4"], 0),
        ("left", ["left", "right"], 0),
        ("left or right", ["left", "right"], None),
        ("2", ["", ""], 1),  # videos without a name
        ("", ["", ""], None),
        ("1", [], None),
        ("same.mp4", ["same.mp4", "same.mp4"], None),
    ],
)
def test_names_that_look_alike(answer: str, names: list[str], index: int | None) -> None:
    assert choice(answer, names) == index


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(-2, 8))
def test_numbers_count_from_one(names: list[str], number: int) -> None:
    expected = number - 1 if 1 <= number <= len(names) else None
    assert choice(f"number {number}, please", [f"~{name}" for name in names]) == expected


@given(
    st.lists(st.tuples(WORDS, WORDS, st.sampled_from([".mp4", ".webm"])), min_size=1, max_size=6),
    st.data(),
)
def test_a_name_chooses_its_candidate_where_it_is_the_only_one(
    parts: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    """Folder, name and suffix from few letters, so that many collide."""
    names = [f"{folder}/{name}{suffix}" for folder, name, suffix in parts]
    index = data.draw(st.integers(0, len(names) - 1))
    shorten = data.draw(
        st.sampled_from([str, lambda n: PurePath(n).name, lambda n: PurePath(n).stem])
    )
    said = shorten(names[index])
    meant = [i for i, name in enumerate(names) if shorten(name) == said]
    assert choice(f"Answer: {said}", names) == (index if meant == [index] else None)


@given(st.permutations(FILES), st.sampled_from(FILES))
def test_the_order_of_candidates_does_not_matter_to_names(names: list[str], said: str) -> None:
    found = choice(f"I like {said} best.", names)
    assert found is not None and names[found] == said

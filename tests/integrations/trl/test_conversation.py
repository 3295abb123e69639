"""The text of plain and conversational rows, and the columns beside them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.integrations.trl.conversation import check_lengths, column, text_of


def message(content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


@given(st.text())
def test_plain_and_conversational_forms_of_a_text_are_one(text: str) -> None:
    plain = text_of(text)
    assert plain == text.strip()
    parts = [{"type": "image", "image": object()}, {"type": "text", "text": text}]
    for content in (text, parts):
        assert text_of([message("be brief", "system"), message(content)]) == plain
        assert text_of((message(content, "assistant"),)) == plain


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([message("first"), message("said", "assistant"), message("last")], "last"),
        ([message([{"type": "text", "text": " a "}, {"type": "text", "text": "cat"}])], "a cat"),
        ([message([{"type": "image"}])], ""),
        ([message([])], ""),
        ([message([{"type": "text"}])], ""),
        ([message("")], ""),
        ("", ""),
    ],
)
def test_the_last_message_counts_and_its_texts_alone(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "'None'"),
        (3, "'3'"),
        ([], r"'\[\]'"),
        ({"role": "user", "content": "a"}, r'"\{'),
        (["a", "b"], r"\"\['a', 'b'\]\""),
        ([message(None)], r'"\['),
        ([message(["a"])], r'"\['),
        ([{"role": "user"}], r'"\['),
        (b"bytes", "\"b'bytes'\""),
    ],
)
def test_what_has_no_text(value: Any, shown: str) -> None:
    with pytest.raises(
        ValueError, match=f"a prompt or completion is {shown}.* it must be text, or"
    ):
        text_of(value)


def test_long_values_are_cut_in_the_message() -> None:
    with pytest.raises(ValueError, match=r"is '\[\d[\d, ]{78}\d?'; it must be"):
        text_of(list(range(100)))


def test_prompts_and_completions_go_together() -> None:
    check_lengths([], [])
    check_lengths(["a", "a"], ["b", "c"])
    with pytest.raises(ValueError, match="there are 1 prompts and 2 completions; TRL repeats a"):
        check_lengths(["a"], ["b", "c"])


def test_a_column_has_a_cell_a_completion() -> None:
    columns = {"seed": [1, 2], "style": ("a", "b"), "trainer_state": object(), "text": "ab"}
    assert column(columns, "seed", 2) == [1, 2] and column(columns, "style", 2) == ("a", "b")
    with pytest.raises(
        ValueError,
        match=r"no column 'sed'; there are seed, style\. TRL drops columns unless remove_unused",
    ):
        column(columns, "sed", 2)
    with pytest.raises(ValueError, match=r"no column 'sed'; there are none\. TRL drops"):
        column({"trainer_state": object()}, "sed", 2)
    for name, count in [("seed", 3), ("text", 2), ("trainer_state", 1)]:
        message = f"column '{name}' is not a list of {count}, one cell a completion"
        with pytest.raises(ValueError, match=message):
            column(columns, name, count)

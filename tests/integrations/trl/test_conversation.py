"""The text in what TRL hands over."""

from __future__ import annotations

from typing import Any

import pytest

from aigv_reward.integrations.trl.conversation import check_lengths, column, text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (" a cat\n", "a cat"),
        ("", ""),
        ([{"role": "assistant", "content": " a cat "}], "a cat"),
        ([{"role": "system", "content": "x"}, {"role": "user", "content": "a dog"}], "a dog"),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image"},
                        {"type": "text", "text": "a"},
                        {"type": "text", "text": "cat "},
                    ],
                }
            ],
            "a cat",
        ),
    ],
)
def test_the_text_of_prompts_and_completions(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("value", [None, 3, [], ["a"], [{"role": "user"}], [{"content": 3}]])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="must be text, or a list of messages"):
        text_of(value)


def test_one_prompt_a_completion() -> None:
    check_lengths(["a", "a"], ["b", "c"])
    with pytest.raises(ValueError, match="there are 1 prompts and 2 completions"):
        check_lengths(["a"], ["b", "c"])


def test_columns() -> None:
    columns = {"seed": [1, 2], "text": "ab", "trainer_state": object()}
    assert column(columns, "seed", 2) == [1, 2]
    with pytest.raises(ValueError, match="no column 'image'; there are seed"):
        column(columns, "image", 2)
    with pytest.raises(ValueError, match="column 'seed' is not a list of 3"):
        column(columns, "seed", 3)
    with pytest.raises(ValueError, match="column 'text' is not a list of 2"):
        column(columns, "text", 2)

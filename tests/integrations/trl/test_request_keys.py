"""Which columns of a data set make the same video."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from aigv_reward.integrations.trl.generation import Request
from aigv_reward.integrations.trl.request_scores import RequestScorer, key_of


def _picture(*, value: int = 0, mode: str = "RGB", size: tuple[int, int] = (4, 2)) -> Image.Image:
    return Image.new(mode, size, value)


EQUAL = [
    (lambda: 1, lambda: 1),
    (lambda: "a", lambda: "a"),
    (_picture, _picture),
    (lambda: np.ones((2, 3)), lambda: np.ones((2, 3))),
    (lambda: [1, [_picture()]], lambda: [1, [_picture()]]),
    (lambda: {"bytes": b"1", "path": None}, lambda: {"path": None, "bytes": b"1"}),
]
DIFFERENT = [
    (lambda: 1, lambda: 1.0),
    (lambda: 1, lambda: True),
    (lambda: "1", lambda: 1),
    (_picture, lambda: _picture(value=1)),
    (_picture, lambda: _picture(size=(2, 4))),
    (_picture, lambda: _picture(mode="HSV")),
    (lambda: np.zeros((2, 3)), lambda: np.zeros((3, 2))),
    (lambda: np.zeros(2, np.int32), lambda: np.zeros(2, np.float32)),
    (lambda: {"bytes": b"1"}, lambda: {"bytes": b"2"}),
    (lambda: {"style": "a"}, lambda: {"style": "b"}),
    (lambda: torch.zeros(2), lambda: torch.zeros(2)),
]


def key(value: Any) -> Any:
    return key_of(Request("a", 0, "a", {"column": value}))


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_columns_of_the_same_content_are_one_video(one: Any, other: Any) -> None:
    assert key(one()) == key(other()) and hash(key(one())) == hash(key(other()))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_columns_that_differ_in_anything_are_two(one: Any, other: Any) -> None:
    assert key(one()) != key(other())


def test_the_text_the_seed_and_the_judged_text_are_part_of_it() -> None:
    base = Request("a", 0, "b", {"column": 1})
    others = [("c", 0, "b"), ("a", 1, "b"), ("a", 0, "c")]
    keys = {key_of(base)} | {key_of(Request(*other, {"column": 1})) for other in others}
    assert len(keys | {key_of(Request("a", 0, "b", {"other": 1}))}) == 5


@pytest.mark.parametrize("cell", [lambda v: {"tone": v}, lambda v: torch.tensor(v)])
def test_a_column_that_is_gone_is_not_mistaken_for_a_new_one(cell: Any, bright: Any) -> None:
    """CPython gives the next object the address of the one before."""

    def toned(prompts: Any, *, seeds: Any, tone: Any) -> Tensor:
        value = float(tone["tone"]) if isinstance(tone, dict) else float(tone)
        return torch.full((len(prompts), 2, 3, 4, 4), value)

    made = RequestScorer(toned, bright, arguments={}, fps=None, weights=None, batch_size=1, cache=8)
    found = [made.scores([Request("a", 0, "a", {"tone": cell(n / 8)})])[0] for n in range(8)]
    assert [result.total for result in found] == [n / 8 for n in range(8)]

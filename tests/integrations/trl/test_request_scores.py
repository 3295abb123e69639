"""Requests are generated once, in batches that fit together, and remembered."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from aigv_reward.integrations.trl.generation import Request
from aigv_reward.integrations.trl.request_scores import (
    RequestScorer,
    Result,
    RowFailure,
    RowScores,
)


def request(text: str, seed: int = 0, **columns: Any) -> Request:
    return Request(text, seed, judged_by=text, columns=columns)


def scorer(generator: Any, reward: Any, **settings: Any) -> RequestScorer:
    given: dict[str, Any] = {"arguments": {}, "fps": None, "weights": None, "batch_size": 1}
    return RequestScorer(generator, reward, **(given | {"cache": 0} | settings))


def totals(results: list[Result]) -> list[float]:
    assert all(isinstance(result, RowScores) for result in results)
    return [result.total for result in results if isinstance(result, RowScores)]


def test_equal_requests_share_one_video(painter: Any, judge: Any) -> None:
    asked = [request("a"), request("b"), request("a"), request("a", 1), request("b")]
    results = totals(scorer(painter, judge).scores(asked))
    assert painter.made == ["a", "b", "a"]
    assert results[0] == results[2] != results[3] and results[1] == results[4]


def test_the_latest_call_is_remembered_without_a_cache(painter: Any, judge: Any) -> None:
    made = scorer(painter, judge, cache=0)
    first = totals(made.scores([request("a"), request("b")]))
    assert totals(made.scores([request("b"), request("a")])) == first[::-1]
    assert painter.made == ["a", "b"]
    made.scores([request("c")])
    assert totals(made.scores([request("a")])) == first[:1]
    assert painter.made == ["a", "b", "c", "a"]


def test_the_cache_keeps_those_used_last(painter: Any, judge: Any) -> None:
    made = scorer(painter, judge, cache=2)
    for text in ("a", "b", "a", "c"):  # a is used again before c pushes b out
        made.scores([request(text)])
    assert painter.made == ["a", "b", "c"]
    made.scores([request("a")])
    assert painter.made == ["a", "b", "c"]
    made.scores([request("b")])
    assert painter.made == ["a", "b", "c", "b"]


def test_a_call_of_more_than_the_cache_holds(painter: Any, judge: Any) -> None:
    made = scorer(painter, judge, cache=1)
    made.scores([request("a"), request("b"), request("c")])
    made.scores([request("c")])
    made.scores([request("a")])
    assert painter.made == ["a", "b", "c", "a"]


def test_batches_are_of_equal_columns(painter: Any, judge: Any) -> None:
    asked = [request(text, size=size) for text, size in zip("abcde", [1, 2, 1, 1, 2], strict=True)]
    results = totals(scorer(painter, judge, batch_size=2, arguments={"steps": 4}).scores(asked))
    assert [(prompts, columns) for prompts, _, columns in painter.calls] == [
        (["a", "c"], {"size": 1, "steps": 4}),
        (["d"], {"size": 1, "steps": 4}),
        (["b", "e"], {"size": 2, "steps": 4}),
    ]
    alone = [totals(scorer(painter, judge, arguments={"steps": 4}).scores([r]))[0] for r in asked]
    assert results == alone


def test_rows_with_images_are_made_alone(painter: Any, judge: Any) -> None:
    asked = [request(text, image=Image.new("RGB", (2, 2))) for text in ("a", "b", "a")]
    scorer(painter, judge, batch_size=4).scores(asked)
    assert [prompts for prompts, _, _ in painter.calls] == [["a"], ["b"]]


def test_a_columns_own_value_replaces_the_argument(painter: Any, judge: Any) -> None:
    made = scorer(painter, judge, arguments={"steps": 4, "size": 8})
    made.scores([request("a", steps=9)])
    assert painter.calls[0][2] == {"steps": 9, "size": 8}


def test_failures_leave_the_rest_of_their_batch(
    painter: Any, judge: Any, caplog: pytest.LogCaptureFixture
) -> None:
    made = scorer(painter, judge, batch_size=3, cache=8)
    good = totals(scorer(painter, judge).scores([request("a"), request("b")]))
    results = made.scores([request("a"), request("broken", 5), request("b")])
    assert [r.total if isinstance(r, RowScores) else None for r in results] == [
        good[0], None, good[1]
    ]  # fmt: skip
    assert str(results[1]) == "RuntimeError: no picture of 'broken'"
    assert "no score for the prompt 'broken' with seed 5: RuntimeError: no picture" in caplog.text
    before = len(painter.calls)
    made.scores([request("a"), request("broken", 5)])  # of the latest call
    assert len(painter.calls) == before
    made.scores([request("b")])
    with pytest.raises(RuntimeError, match="no picture of 'broken'"):  # tried again
        made.scores([request("broken", 5)])
    assert len(painter.calls) == before + 1


def test_without_memory_nothing_is_tried_again(judge: Any) -> None:
    calls: list[Any] = []

    def full(prompts: Any, *, seeds: Any) -> Tensor:
        calls.append(prompts)
        raise torch.OutOfMemoryError("full")

    with pytest.raises(torch.OutOfMemoryError, match="full"):
        scorer(full, judge, batch_size=2).scores([request("a"), request("b")])
    assert calls == [["a", "b"]]


def test_scores_that_are_not_numbers_fail_their_row(painter: Any) -> None:
    def picky(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return torch.tensor([float("nan") if prompts == ["b"] else 1.0])

    results = scorer(painter, picky, batch_size=2).scores([request("a"), request("b")])
    assert totals(results[:1]) == [1.0]
    assert isinstance(results[1], RowFailure) and "'reward' is not finite" in str(results[1])


def test_the_reward_sees_unit_range_the_rate_and_no_graph() -> None:
    def loud(prompts: Any, *, seeds: Any) -> Tensor:
        leaf = torch.full((len(prompts), 2, 3, 4, 4), 1.5, requires_grad=True)
        return leaf.half()

    def spy(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        assert frames.shape == (1, 2, 3, 4, 4) and frames.dtype == torch.float32
        assert frames.max() == 1 and fps == 12.0 and not torch.is_grad_enabled()
        return frames.mean(dim=(1, 2, 3, 4))

    assert totals(scorer(loud, spy, fps=12.0).scores([request("a")])) == [1.0]


def test_what_is_remembered_survives_pickling(painter: Any, judge: Any) -> None:
    made = scorer(painter, judge, cache=4)
    tone = torch.tensor(0.5)
    asked = [request("a"), request("b", tone=tone)]
    first = totals(made.scores(asked))
    copy = pickle.loads(pickle.dumps(made))
    assert totals(copy.scores([request("a")])) == first[:1]
    assert copy.generator.made == painter.made == ["a", "b"]
    assert totals(made.scores([request("b", tone=tone)])) == first[1:]
    assert painter.made == ["a", "b"]

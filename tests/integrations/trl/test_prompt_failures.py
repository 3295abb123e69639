"""Rows without a score: left out where the host leaves them out, raised where it would not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from aigv_reward.integrations.trl import VideoPromptReward

ROWS = (["a cat"] * 3, ["b", "broken c", "d"])


def test_a_failed_row_is_none_and_the_others_stay(painter: Any, judge: Any, logs: Any) -> None:
    good = VideoPromptReward(painter, judge)(["a cat"] * 2, ["b", "d"])
    for batch_size in (1, 3):
        for columns in ({}, logs.columns):
            reward = VideoPromptReward(painter, judge, batch_size=batch_size)
            assert reward(*ROWS, **columns) == [good[0], None, good[1]]


def test_a_call_in_which_all_fail_raises_the_first_error(
    painter: Any, judge: Any, logs: Any
) -> None:
    reward = VideoPromptReward(painter, judge, batch_size=2)
    for columns in ({}, logs.columns):
        with pytest.raises(RuntimeError, match="no picture of 'broken 1'"):
            reward(["a"] * 2, ["broken 1", "broken 2"], **columns)
    assert logs.metrics == {}


def test_a_reward_that_fails_is_told(painter: Any, bright: Any) -> None:
    with pytest.raises(ValueError, match="weights of motion need a reward that returns"):
        VideoPromptReward(painter, bright, dimensions=["motion"])(["a"], ["b"])


def test_where_none_would_count_as_zero_a_failure_raises(painter: Any, judge: Any) -> None:
    """Online DPO passes its state and no loggers, and sums what is not None."""
    state = {"trainer_state": object()}
    with pytest.raises(RuntimeError, match="this trainer counts a missing one as 0") as caught:
        VideoPromptReward(painter, judge)(*ROWS, **state)
    assert str(caught.value.__cause__) == "no picture of 'broken c'"
    parsing = VideoPromptReward(painter, judge, parse=lambda text: None if text == "d" else text)
    with pytest.raises(RuntimeError, match="a row has no score") as caught:
        parsing(["a"] * 2, ["b", "d"], **state)
    assert str(caught.value.__cause__) == "no prompt was found"
    fine = VideoPromptReward(painter, judge)
    assert fine(["a"], ["b"], **state) == fine(["a"], ["b"])


def test_rows_without_a_prompt_are_none(painter: Any, judge: Any, logs: Any) -> None:
    reward = VideoPromptReward(painter, judge, parse=lambda text: None)
    assert reward(["a"] * 2, ["b", "c"], **logs.columns) == [None, None]
    assert painter.calls == [] and logs.metrics == {"video/failed": [1.0]} and logs.extras == {}


def test_the_logs_hold_means_of_what_was_scored_and_every_row(
    painter: Any, judge: Any, painted: Any, logs: Any
) -> None:
    reward = VideoPromptReward(painter, judge, name="clip")
    reward(*ROWS, seed=[1, 2, 3], **logs.columns)
    frames = torch.stack([painted("b", 1), painted("d", 3)])
    values = judge(frames, ["a cat"] * 2)
    assert logs.metrics["clip/failed"] == [pytest.approx(1 / 3)]
    assert logs.metrics.keys() == {"clip/failed", *(f"clip/{name}" for name in values)}
    assert logs.extras.keys() == {f"clip/{name}" for name in values}
    for name, (first, second) in values.items():
        assert logs.metrics[f"clip/{name}"] == [pytest.approx(float(first + second) / 2)]
        assert logs.extras[f"clip/{name}"] == [
            pytest.approx(float(first)), None, pytest.approx(float(second))
        ]  # fmt: skip


def test_a_plain_tensor_is_logged_as_reward(painter: Any, bright: Any, logs: Any) -> None:
    (found,) = VideoPromptReward(painter, bright)(["a"], ["b"], **logs.columns)
    assert logs.metrics == {"video/failed": [0.0], "video/reward": [found]}
    assert logs.extras == {"video/reward": [found]}

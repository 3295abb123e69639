from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from aigv_reward.cli.errors import UsageError
from aigv_reward.cli.rank import in_order, parse_weights
from aigv_reward.cli.rows import Row

Run = Callable[..., Result]


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_best_first_ties_by_path_failures_last() -> None:
    """Weighted sums by hand: c 0.5*4+1 = 3, a and b 0.5*2+2 = 3 as well, d 0.5*1+1 = 1.5."""
    rows = [
        Row("z", {}, error="empty"),
        Row("d", {"motion": 1.0, "technical": 1.0}),
        Row("c", {"motion": 4.0, "technical": 1.0}),
        Row("b", {"motion": 2.0, "technical": 2.0}),
        Row("a", {"motion": 2.0, "technical": 2.0}),
        Row("y", {}, error="empty"),
    ]
    best = in_order(rows, {"motion": 0.5, "technical": 1.0})
    assert [row.video for row in best] == ["a", "b", "c", "d", "y", "z"]
    assert [row.rank for row in best] == [1, 2, 3, 4, None, None]
    assert [row.weighted for row in best] == [3.0, 3.0, 3.0, 1.5, None, None]


def test_a_negative_sum_ranks_above_a_failure() -> None:
    rows = [Row("a", {}, error="empty"), Row("b", {"motion": 3.0})]
    assert [row.video for row in in_order(rows, {"motion": -1.0})] == ["b", "a"]


def test_weights() -> None:
    assert parse_weights("motion") == {"motion": 1.0}
    assert parse_weights("motion=0.5, technical=-2") == {"motion": 0.5, "technical": -2.0}


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("beauty", "unknown dimension 'beauty'; choose from"),
        ("", "unknown dimension ''"),
        ("motion,technical", "gives 'motion' no weight; write motion=0.5,technical=0.5"),
        ("motion=1,motion=2", "names motion twice; keep one"),
        ("motion=much", "'much' is no weight; write a number"),
        ("motion=nan", "'nan' is no weight; write a number"),
    ],
)
def test_senseless_weights(by: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_weights(by)


@pytest.mark.parametrize("by", ["overall", "motion", "motion=-1,technical=0.5"])
def test_rank_orders_what_score_scores(run: Run, clips: Any, by: str) -> None:
    scored = {row["video"]: row for row in records(run("score", clips.folder, "--format", "json"))}
    result = run("rank", clips.folder, "--by", by, "--format", "json")
    assert (result.exit_code, result.stderr) == (0, "")
    ranked = records(result)
    assert [row.pop("rank") for row in ranked] == [1, 2, 3]
    weights = parse_weights(by)
    sums = [sum(row[name] * weight for name, weight in weights.items()) for row in ranked]
    assert sums == sorted(sums, reverse=True)
    for row, value in zip(ranked, sums, strict=True):
        assert ("weighted" in row) == ("=" in by)
        assert row.pop("weighted", value) == pytest.approx(value, abs=1e-5)
        same = scored[row.pop("video")]
        assert row.pop("untrained") == ["motion"]
        assert row == pytest.approx({name: same[name] for name in row}, abs=2e-5)


def test_top_prints_the_best_and_failures_go_to_stderr(run: Run, clips: Any) -> None:
    every = records(run("rank", *clips.good, "--format", "json"))
    result = run("rank", "no.mp4", *clips.good, "--top", 1, "--format", "json")
    assert result.exit_code == 1
    (best,) = records(result)
    assert best["video"] == every[0]["video"]
    assert result.stderr.startswith("aigv-reward: no.mp4: it cannot be opened")
    assert result.stderr.count("\n") == 2


def test_the_prompt_is_asked_about_every_candidate(run: Run, clips: Any) -> None:
    plain, prompted = (
        {row["video"]: row["semantic"] for row in records(run("rank", clips.folder, *more))}
        for more in (("--format", "json"), ("--format", "json", "--prompt", "a cat"))
    )
    assert all(abs(plain[video] - prompted[video]) > 1e-4 for video in plain)


def test_a_table_has_ranks(run: Run, clips: Any) -> None:
    result = run("rank", clips.folder, "missing.mp4", "--max-error-rate", 1)
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert lines[0] == ["rank", "video", "technical", "motion*", "semantic", "overall"]
    assert [line[0] for line in lines[2:6]] == ["1", "2", "3", "-"]
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("caf\udce9", "--prompt is no text: '\\udce9' at character 3 is half of a"),
        ("very " * 20, "--prompt has 100 tokens, the limit is max_prompt_tokens=32"),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_refused_once(
    run: Run, clips: Any, prompt: str, message: str
) -> None:
    result = run("rank", *clips.good, "--prompt", prompt)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr and result.stderr.count("\n") == 1

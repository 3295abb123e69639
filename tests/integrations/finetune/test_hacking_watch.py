"""Drift by hand; hacks are seen, noise is not; a resumed watch goes on exactly."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
import torch

from aigv_reward.integrations.finetune.hacking_watch import (
    REMEDY,
    Drift,
    HackingWatch,
    Verdict,
    WatchLimit,
    watch_limits,
)
from aigv_reward.integrations.finetune.video_statistics import video_statistics

STILL = video_statistics(torch.full((1, 2, 3, 4, 4), 0.5))


def observed(watch: HackingWatch, *values: float, name: str = "judge") -> Verdict:
    """The verdict after a score has had these values."""
    for value in values:
        verdict = watch.observe(STILL, {name: torch.tensor([value], dtype=torch.float64)})
    return verdict


def clips(seed: int, batch: int = 2, **change: float) -> torch.Tensor:
    """Noise around the colours of a scene, made brighter, greyer or slower."""
    draw = torch.Generator().manual_seed(seed)
    scene = torch.rand(batch, 1, 3, 4, 4, generator=draw).mul(0.6).add(0.2)
    frames = torch.nn.functional.interpolate(scene.flatten(0, 1), (16, 16))
    frames = frames.unflatten(0, (batch, 1)) + 0.05 * torch.randn(
        batch, 4, 3, 16, 16, generator=draw
    )
    return (frames * change.get("gain", 1.0) + change.get("lift", 0.0)).clamp(0, 1)


def test_by_hand() -> None:
    """Start 1, 3: mean 2, sample std sqrt 2. Then 5, 7: mean 6, +4 = 2.83 deviations, +200 %."""
    limit = WatchLimit(2.0, relative=0.5, action="stop")
    watch = HackingWatch({"judge": limit}, baseline=2, window=2)
    assert observed(watch, 1, 3).drifts == {}
    assert observed(watch, 5).status == "ok"  # one observation is no present yet
    verdict = observed(watch, 7)
    assert verdict.status == "stop"
    drift = verdict.drifts["judge"]
    assert (drift.start, drift.value) == (2.0, 6.0)
    assert drift.std == pytest.approx(math.sqrt(2))
    assert drift.deviations == pytest.approx(4 / math.sqrt(2))
    assert drift.relative == 2.0
    assert verdict.messages == (
        "judge drifted from 2 (std 1.4, first 2 observations) to 6 (mean of the last 2): +2.83 "
        f"standard deviations and +200 %, beyond the limit of 2 and 50 %. {REMEDY}.",
    )
    logs = verdict.logs()
    assert logs["watch/judge"] == 7.0 and logs["watch/judge_drift"] == drift.deviations
    assert logs["watch/brightness"] == 0.5


def test_the_present_is_a_window() -> None:
    """After 1, 3 and 9, 3, 1: the mean of the last two is 2, the start."""
    watch = HackingWatch({"judge": WatchLimit(1.0)}, baseline=2, window=2)
    assert observed(watch, 1, 3, 9, 3).status == "warn"
    verdict = observed(watch, 1)
    assert verdict.status == "ok" and verdict.messages == ()
    assert verdict.drifts["judge"].deviations == 0


@pytest.mark.parametrize(
    ("limit", "value", "exceeded"),
    [
        (WatchLimit(2.0, relative=0.0), 12.1, True),
        (WatchLimit(2.0, relative=0.0), 11.9, False),
        (WatchLimit(2.0, relative=0.3), 12.1, False),  # 21 % only
        (WatchLimit(2.0), 7.9, True),
        (WatchLimit(2.0, direction="down"), 7.9, True),
        (WatchLimit(2.0, direction="down"), 12.1, False),
        (WatchLimit(2.0, direction="up"), 12.1, True),
        (WatchLimit(2.0, direction="up"), 7.9, False),
    ],
)
def test_limits_by_hand(limit: WatchLimit, value: float, exceeded: bool) -> None:
    assert Drift(10.0, 1.0, value).exceeds(limit) is exceeded


def test_a_start_that_does_not_vary() -> None:
    """Any drift is infinitely many deviations, so the share of the start decides."""
    limit = WatchLimit(3.0, relative=0.1)
    assert not Drift(1.0, 0.0, 1.09).exceeds(limit)
    assert Drift(1.0, 0.0, 1.11).exceeds(limit)
    assert Drift(1.0, 0.0, 0.5).deviations == -math.inf and Drift(1.0, 0.0, 1.0).deviations == 0
    assert Drift(0.0, 0.0, 0.5).relative == math.inf
    watch = HackingWatch({}, baseline=2, window=1)
    assert "watch/judge_drift" not in observed(watch, 1, 1, 2).logs()


def test_the_most_serious_action_counts() -> None:
    limits = {
        "a": WatchLimit(1.0, action="warn"),
        "b": WatchLimit(1.0, action="stop"),
        "c": WatchLimit(1.0, action="stop", direction="down"),
    }
    watch = HackingWatch(limits, baseline=2, window=1)
    for value in (1.0, 2.0, 30.0):
        verdict = watch.observe(STILL, {name: torch.tensor([value]) for name in limits})
    assert verdict.status == "stop"
    assert [message.split()[0] for message in verdict.messages] == ["a", "b"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, set()),
        ({"lift": 0.3}, {"brightness"}),
        ({"gain": 0.3}, {"brightness", "saturation", "sharpness", "motion"}),
    ],
)
def test_hacks_are_seen_and_honest_videos_are_not(
    change: dict[str, float], names: set[str]
) -> None:
    watch = HackingWatch(watch_limits(6.0), baseline=6, window=4)
    for seed in range(12):
        verdict = watch.observe(video_statistics(clips(seed)))
        assert verdict.status == "ok"
    for seed in range(12, 24):
        verdict = watch.observe(video_statistics(clips(seed, **change)))
    found = {message.split()[0] for message in verdict.messages}
    assert found >= names if names else not found
    assert verdict.status == ("warn" if names else "ok")


def test_diversity_falls_when_every_prompt_gets_one_picture_in_batches_of_one() -> None:
    watch = HackingWatch({"diversity": WatchLimit(4.0, direction="down")}, baseline=6)
    for seed in range(12):
        watch.observe(video_statistics(clips(seed, batch=1)))
    for _ in range(40):
        verdict = watch.observe(video_statistics(clips(7, batch=1)))
    assert verdict.status == "warn" and verdict.messages[0].startswith("diversity drifted from")
    assert verdict.values["diversity"] == 0


def test_diversity_looks_back_by_32_videos() -> None:
    """Grey of 0, 0.3 and 0.9: the third is 0.9 and 0.6 away from those before it, in the mean 0.75.

    Of 0.9 again and again, the first is forgotten after 32 videos, then the second.
    """
    watch = HackingWatch({})
    greys = [video_statistics(torch.full((1, 1, 3, 4, 4), grey)) for grey in (0.0, 0.3, 0.9)]
    found = [watch.observe(grey).values.get("diversity") for grey in greys]
    assert found == [None, pytest.approx(0.3), pytest.approx(0.75)]
    later = [watch.observe(greys[2]).values["diversity"] for _ in range(32)]
    assert later[29:] == pytest.approx([1.5 / 32, 0.6 / 32, 0])
    assert len(watch.state_dict()["looks"]) == 32


def test_limits_for_everything() -> None:
    limits = watch_limits(5.0, action="stop", scores=["judge"])
    statistics = ("brightness", "saturation", "sharpness", "motion", "diversity")
    assert tuple(limits) == (*statistics, "judge")
    assert {name for name, one in limits.items() if one.direction == "down"} == {
        "diversity",
        "judge",
    }
    assert all(one.action == "stop" and one.deviations == 5.0 for one in limits.values())


def test_failed_scores_are_passed_over() -> None:
    watch = HackingWatch({}, baseline=2, window=1)
    observed(watch, 1)
    assert "judge" not in watch.observe(STILL, {"judge": torch.empty(0)}).values
    assert observed(watch, 3, 2).drifts["judge"] == Drift(2.0, math.sqrt(2), 2.0)


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_resumed_watch_goes_on_exactly(at: int) -> None:
    def made() -> HackingWatch:
        return HackingWatch(watch_limits(1.0, scores=["judge"]), baseline=3, window=2)

    def seen(watch: HackingWatch, seeds: range) -> list[Verdict]:
        return [
            watch.observe(video_statistics(clips(seed)), {"judge": torch.tensor([seed / 7])})
            for seed in seeds
        ]

    whole = seen(made(), range(8))
    first, second = made(), made()
    seen(first, range(at))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert seen(second, range(at, 8)) == whole[at:]


def test_the_saved_state_is_a_copy() -> None:
    watch = HackingWatch({}, baseline=2, window=2)
    observed(watch, 1, 2, 3)
    state = watch.state_dict()
    before = json.dumps(state)
    observed(watch, 4)
    assert json.dumps(state) == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WatchLimit(0.0), "deviations is 0.0; it must be above 0"),
        (lambda: WatchLimit(1.0, relative=-1.0), "relative is -1.0; it must be at least 0"),
        (lambda: WatchLimit(1.0, direction="left"), "direction is 'left'; choose from both, down"),
        (lambda: WatchLimit(1.0, action="fail"), "action is 'fail'; choose from warn, stop"),
        (lambda: HackingWatch({}, baseline=1), "baseline is 1; a standard deviation needs at leas"),
        (lambda: HackingWatch({}, window=0), "window is 0; it must be at least 1"),
        (
            lambda: observed(HackingWatch({}), float("nan")),
            "judge is nan; leave out the videos that have no score",
        ),
        (
            lambda: observed(HackingWatch({}), 1.0, name="motion"),
            "a score is named 'motion', as a statistic is; rename it",
        ),
        (
            lambda: observed(HackingWatch({"jugde": WatchLimit(1.0)}, baseline=2), 1.0, 2.0),
            "a limit is set on 'jugde', which was not observed; there are brightness, saturation, "
            "sharpness, motion, judge, diversity",
        ),
        (
            lambda: HackingWatch({}, window=3).load_state_dict(HackingWatch({}).state_dict()),
            "the watch was saved with window 4 and now has 3; resume with the saved one",
        ),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()

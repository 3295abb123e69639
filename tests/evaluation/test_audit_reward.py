"""Any reward as checked, named scores; ours in every dimension with its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, VideoReward
from aigv_reward.evaluation.audit_clips import AuditClip
from aigv_reward.evaluation.audit_reward import (
    CheckedReward,
    RewardError,
    answers_for,
    headline,
    own_score,
)

FRAMES = torch.randint(
    256, (2, 6, 3, 32, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


def clip(prompt: str | None = None) -> AuditClip:
    return AuditClip("walk.mp4", FRAMES[0], 12.0, prompt, (6, 32, 48))


def checked(reward: Callable[..., Any]) -> CheckedReward:
    return CheckedReward(reward, device="cpu")


def test_a_reward_sees_floats_prompts_and_the_frame_rate() -> None:
    seen: list[SimpleNamespace] = []

    def reward(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        seen.append(SimpleNamespace(frames=frames, prompts=prompts, fps=fps))
        return frames.mean(dim=(1, 2, 3, 4))

    judge = checked(reward)
    scores = judge(FRAMES, clip("a cat"), "clean")
    judge(FRAMES.float() / 255, clip(), "clean")
    torch.testing.assert_close(scores["reward"], FRAMES.float().mean(dim=(1, 2, 3, 4)) / 255)
    first, second = seen
    assert first.frames.dtype == torch.float32 and first.frames.shape == FRAMES.shape
    torch.testing.assert_close(first.frames, second.frames, rtol=0, atol=0)
    assert (first.prompts, second.prompts) == (["a cat", "a cat"], None)
    assert first.fps == 12.0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (torch.ones(3), r"returned \(3,\) as 'reward' on clip 'walk.mp4' \(noise\); return a real"),
        (torch.ones(2, 1), r"returned \(2, 1\) as 'reward'"),
        (torch.ones(()), r"returned \(\) as 'reward'"),
        ([1.0, 2.0], "returned list as 'reward'"),
        ({"motion": 3.0}, "returned float as 'motion'"),
        (torch.ones(2, dtype=torch.complex64), r"returned \(2,\) as 'reward'.*a real tensor"),
        ({}, r"returned no score on clip 'walk.mp4' \(noise\)"),
        (torch.tensor([1.0, math.nan]), r"returned \[1.0, nan\] .* 'walk.mp4' \(noise\); every"),
        ({"motion": torch.tensor([math.inf, 1.0])}, r"returned \[inf, 1.0\] as 'motion'"),
    ],
)
def test_an_answer_that_is_no_score_names_clip_and_distortion(answer: Any, message: str) -> None:
    with pytest.raises(RewardError, match=message):
        checked(lambda frames, prompts, *, fps=None: answer)(FRAMES, clip(), "noise")


def test_a_rewards_own_error_is_named_and_kept() -> None:
    def reward(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        raise KeyError("weights")

    with pytest.raises(RewardError, match=r"failed on clip 'walk.mp4' \(noise\): KeyError") as info:
        checked(reward)(FRAMES, clip(), "noise")
    assert isinstance(info.value.__cause__, KeyError)


def test_scores_must_stay_the_same_ones() -> None:
    names = iter([("a", "b"), ("b", "a"), ("a",)])
    judge = checked(lambda frames, p, *, fps=None: {n: torch.ones(2) for n in next(names)})
    assert list(judge(FRAMES, clip(), "clean")) == ["a", "b"]
    assert list(judge(FRAMES, clip(), "noise")) == ["a", "b"]
    with pytest.raises(RewardError, match=r"scored a on clip 'walk.mp4' \(blur\), but a, b before"):
        judge(FRAMES, clip(), "blur")


@pytest.fixture(scope="module")
def lite() -> VideoReward:
    return VideoReward.from_pretrained()


def test_ours_answers_in_every_dimension_with_gradients(lite: VideoReward) -> None:
    frames = (FRAMES[:1].float() / 255).requires_grad_()
    scores = checked(lite)(frames, clip(), "clean")
    assert tuple(scores) == DIMENSIONS
    expected = lite.score(frames.detach(), fps=12.0)
    for name, value in scores.items():
        torch.testing.assert_close(value.detach(), expected.values[name], rtol=0, atol=1e-5)
        (gradient,) = torch.autograd.grad(value.sum(), frames, retain_graph=True)
        assert gradient.abs().sum() > 0


def test_weights_add_their_sum(lite: VideoReward) -> None:
    weighted = VideoReward(lite.model, weights={"motion": 0.7, "technical": 0.3})
    with torch.no_grad():
        scores = checked(weighted)(FRAMES, clip(), "clean")
        direct = weighted(FRAMES.float() / 255, fps=12.0)
    assert tuple(scores) == (*DIMENSIONS, "reward")
    torch.testing.assert_close(scores["reward"], direct, rtol=0, atol=1e-5)


def test_calibrated_scores_are_audited_as_z_scores(lite: VideoReward) -> None:
    calibrated = VideoReward(lite.model, weights={"motion": 1.0}, calibrated=True)
    with torch.no_grad():
        scores = checked(calibrated)(FRAMES, clip(), "clean")
        expected = calibrated.score(FRAMES.float() / 255, fps=12.0)
    torch.testing.assert_close(scores["motion"], expected.motion, rtol=0, atol=1e-4)


def test_which_score_answers_for_what() -> None:
    assert headline(("motion", "overall", "reward")) == "reward"
    assert headline(("motion", "overall")) == "overall"
    assert headline(("beauty", "motion")) == "beauty"
    assert own_score("motion", ("technical", "motion", "overall")) == "motion"
    assert own_score("semantic", ("technical", "motion", "overall")) == "overall"
    assert own_score("semantic", ("reward",)) == "reward"
    assert own_score("semantic", ("technical",)) is None
    assert answers_for("motion", "motion") and not answers_for("motion", "technical")
    assert answers_for("overall", "motion") and answers_for("beauty", "technical")

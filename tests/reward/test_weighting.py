"""Weights, dimensions, calibration and what `Scores` says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, AIGVRewardModel, Scores, VideoReward


@pytest.fixture(scope="module")
def batch(clip: Callable[..., Tensor]) -> Tensor:
    return torch.stack([clip(seed=seed) for seed in range(3)])


def test_the_default_is_overall_alone(reward: VideoReward, batch: Tensor) -> None:
    assert reward.weights == {"overall": 1.0}
    torch.testing.assert_close(reward(batch), reward.score(batch).overall, rtol=0, atol=1e-5)


def test_without_overall_the_default_is_the_mean(model: AIGVRewardModel, batch: Tensor) -> None:
    config = type(model.config).from_dict(model.config.to_dict())
    assert config.prompt is not None
    questions = config.prompt["questions"]
    config.prompt["questions"] = {name: questions[name] for name in ("technical", "motion")}
    smaller = AIGVRewardModel(config).eval()
    smaller.load_state_dict(model.state_dict())
    reward = VideoReward(smaller)
    assert reward.dimensions == ("technical", "motion")
    assert reward.weights == {"technical": 0.5, "motion": 0.5}
    scores = reward.score(batch)
    mean = (scores.technical + scores.motion) / 2
    torch.testing.assert_close(reward(batch), mean, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="unknown dimension 'overall'; scored were technical"):
        _ = scores.overall
    with pytest.raises(ValueError, match=r"this reward scores technical, motion$"):
        VideoReward(smaller, weights={"overall": 1.0})


def test_the_reward_is_linear_in_its_weights(model: AIGVRewardModel, batch: Tensor) -> None:
    scores = VideoReward(model).score(batch)
    weights = {"motion": 0.5, "technical": -2.0, "semantic": 0.25}
    expected = sum(weight * scores[name] for name, weight in weights.items())  # type: ignore[index]
    result = VideoReward(model, weights=weights)(batch)  # type: ignore[arg-type]
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
    doubled = {name: 2 * weight for name, weight in weights.items()}
    torch.testing.assert_close(
        VideoReward(model, weights=doubled)(batch),
        2 * expected,
        rtol=0,
        atol=2e-5,  # type: ignore[arg-type]
    )


def test_wrong_weights_are_refused(model: AIGVRewardModel) -> None:
    known = "this reward scores technical, motion, semantic, overall"
    with pytest.raises(ValueError, match=f"unknown dimension 'beauty'; {known}"):
        VideoReward(model, weights={"beauty": 1.0})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="weights are empty; name one or more of technical"):
        VideoReward(model, weights={})
    with pytest.raises(ValueError, match="the weight of 'motion' is nan; it must be finite"):
        VideoReward(model, weights={"motion": float("nan")})


@pytest.mark.parametrize("names", [["motion"], ["overall", "technical"], ["semantic"]])
def test_some_dimensions_score_as_among_all(
    reward: VideoReward, batch: Tensor, names: list[str]
) -> None:
    everything = reward.score(batch)
    some = reward.score(batch, dimensions=names)  # type: ignore[arg-type]
    assert some.dimensions == tuple(names)
    for name in names:
        torch.testing.assert_close(some[name], everything[name], rtol=0, atol=1e-5)  # type: ignore[index]


def test_wrong_dimensions_are_refused(reward: VideoReward, batch: Tensor) -> None:
    with pytest.raises(ValueError, match="unknown dimension 'colour'; this reward scores"):
        reward.score(batch, dimensions=["colour"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="dimensions are empty; name one or more of technical"):
        reward.score(batch, dimensions=[])
    with pytest.raises(ValueError, match=r"dimensions is one string 'motion'; wrap it in \[ \]"):
        reward.score(batch, dimensions="motion")  # type: ignore[arg-type]
    twice = reward.score(batch, dimensions=["motion", "motion"])
    assert twice.dimensions == ("motion",)


def test_calibrated_scores_are_z_scores(model: AIGVRewardModel, batch: Tensor) -> None:
    raw = VideoReward(model).score(batch, clips=2)
    weights = {"technical": 1.0, "motion": 1.0}
    reward = VideoReward(model, weights=weights, calibrated=True)  # type: ignore[arg-type]
    scores = reward.score(batch, clips=2, dimensions=["technical", "motion"])
    assert scores.calibrated and not raw.calibrated
    assert scores.windows is not None and raw.windows is not None
    for name, mean, std in (("technical", 3.0, 0.5), ("motion", 2.5, 0.25)):
        expected = (raw[name] - mean) / std  # type: ignore[index]
        torch.testing.assert_close(scores[name], expected, rtol=0, atol=1e-4)  # type: ignore[index]
        windows = (raw.windows[name] - mean) / std  # type: ignore[index]
        torch.testing.assert_close(scores.windows[name], windows, rtol=0, atol=1e-4)  # type: ignore[index]
    whole = VideoReward(model).score(batch)
    expected = (whole.technical - 3.0) / 0.5 + (whole.motion - 2.5) / 0.25
    torch.testing.assert_close(reward(batch), expected, rtol=0, atol=1e-4)


def test_a_missing_calibration_is_an_error(
    model: AIGVRewardModel, own_reward: VideoReward, batch: Tensor
) -> None:
    remedy = "no calibration for 'semantic', only for technical, motion, overall; score those"
    with pytest.raises(ValueError, match=remedy):
        VideoReward(model, weights={"semantic": 1.0}, calibrated=True)
    with pytest.raises(ValueError, match=remedy):
        VideoReward(model, calibrated=True).score(batch)
    own_reward.model.config.calibration = None
    with pytest.raises(ValueError, match="has no calibration; use calibrated=False"):
        VideoReward(own_reward.model, calibrated=True)


def test_scores_name_what_was_trained_and_give_rows(reward: VideoReward, batch: Tensor) -> None:
    scores = reward.score(batch, dimensions=["semantic", "motion"])
    assert scores.trained == reward.trained == ("technical", "motion")
    rows = scores.rows()
    assert len(scores) == len(rows) == 3
    assert list(rows[0]) == ["semantic", "motion"]
    assert [row["motion"] for row in rows] == scores.motion.tolist()
    with pytest.raises(ValueError, match="unknown dimension 'technical'; scored were semantic, mo"):
        _ = scores.technical
    made = Scores(values={name: torch.ones(2) for name in DIMENSIONS}, trained=())
    assert made.semantic.tolist() == made["semantic"].tolist() == [1.0, 1.0]


def test_scores_stay_on_the_scale_of_the_level_values(reward: VideoReward, batch: Tensor) -> None:
    for value in reward.score(batch).values.values():
        assert value.shape == (3,) and value.min() >= 1 and value.max() <= 5


def test_a_score_that_is_not_finite_is_an_error_that_names_the_video(
    own_reward: VideoReward, batch: Tensor
) -> None:
    own_reward.model.technical_projection.bias.data[0] = float("nan")
    with pytest.raises(ValueError, match="scores of video 0, 1, 2 are not finite; check weights"):
        own_reward(batch)
    with pytest.raises(ValueError, match=r"scores of video videos\[0\], videos\[1\] are not"):
        own_reward.score(batch, batch_size=4, clips=2)

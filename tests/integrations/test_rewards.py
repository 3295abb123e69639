"""Total and dimensions of any reward, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward import DIMENSIONS, Draws, LowerBoundReward, VideoReward
from aigv_reward.integrations.rewards import scores_of, values_of


@pytest.fixture(scope="module")
def reward(light_checkpoint: Path) -> VideoReward:
    return VideoReward.from_pretrained(light_checkpoint)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 9, 3, 48, 64, generator=generator) * 0.8 + 0.1


def bright(
    frames: Tensor, prompts: Sequence[str | None] | None, *, fps: float | Tensor | None = None
) -> Tensor:
    return frames.mean(dim=(1, 2, 3, 4))


def both(
    frames: Tensor, prompts: Sequence[str | None] | None, *, fps: float | Tensor | None = None
) -> Mapping[str, Tensor]:
    light = bright(frames, prompts)
    return {"light": light, "overall": 2 * light}


def returns(value: Any) -> Any:
    return lambda frames, prompts, *, fps=None: value


def test_a_video_reward_gives_its_dimensions_and_its_own_total(
    reward: VideoReward, frames: Tensor
) -> None:
    prompts = ["a cat", None]
    scores = scores_of(reward, frames, prompts, fps=8.0)
    assert tuple(scores.values) == DIMENSIONS
    torch.testing.assert_close(scores.total, reward(frames, prompts, fps=8.0), rtol=0, atol=1e-5)
    for name, expected in reward.score(frames, prompts, fps=8.0).values.items():
        torch.testing.assert_close(scores.values[name], expected, rtol=0, atol=1e-5)


def test_weights_replace_those_of_a_video_reward(reward: VideoReward, frames: Tensor) -> None:
    weights = {"motion": 0.5, "technical": -2.0}
    scores = scores_of(reward, frames, None, weights=weights)
    expected = 0.5 * scores.values["motion"] - 2 * scores.values["technical"]
    torch.testing.assert_close(scores.total, expected, rtol=0, atol=0)
    assert reward.weights == {"overall": 1.0}


def test_untrained_and_uncalibrated_dimensions_are_left_out(
    light_checkpoint: Path, frames: Tensor
) -> None:
    reward = VideoReward.from_pretrained(light_checkpoint)
    config = reward.model.config
    config.trained = ["technical", "motion"]
    assert tuple(scores_of(reward, frames, None).values) == ("technical", "motion", "overall")
    calibration = dict(config.calibration)
    config.calibration = {name: calibration[name] for name in ("motion", "overall")}
    calibrated = VideoReward(reward.model, tokenizer=reward.tokenizer, calibrated=True)
    scores = scores_of(calibrated, frames, None)
    assert tuple(scores.values) == ("motion", "overall")
    expected = calibrated.by_dimension(frames, dimensions=["motion"])["motion"]
    torch.testing.assert_close(scores.values["motion"], expected, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="no calibration for 'technical'"):
        scores_of(calibrated, frames, None, weights={"technical": 1.0})


def test_a_plain_tensor_is_the_total_and_called_reward(frames: Tensor) -> None:
    scores = scores_of(bright, frames, None)
    torch.testing.assert_close(scores.total, frames.mean(dim=(1, 2, 3, 4)), rtol=0, atol=0)
    assert list(scores.values) == ["reward"] and scores.values["reward"] is scores.total


def test_a_lower_bound_is_a_plain_tensor(reward: VideoReward, frames: Tensor) -> None:
    lower = LowerBoundReward(reward, draws=Draws(2))
    scores = scores_of(lower, frames, ["a cat", "a dog"], fps=8.0)
    assert list(scores.values) == ["reward"]
    torch.testing.assert_close(
        scores.total, lower(frames, ["a cat", "a dog"], fps=8.0), rtol=0, atol=1e-5
    )


def test_of_a_mapping_overall_counts_unless_weights_say_otherwise(frames: Tensor) -> None:
    light = bright(frames, None)
    scores = scores_of(both, frames, None)
    torch.testing.assert_close(scores.total, 2 * light)
    assert list(scores.values) == ["light", "overall"]
    weighted = scores_of(both, frames, None, weights={"light": 3.0, "overall": 0.5})
    torch.testing.assert_close(weighted.total, 4 * light)


def test_values_need_no_total(reward: VideoReward, frames: Tensor) -> None:
    light = bright(frames, None)
    values = values_of(lambda frames, prompts, *, fps=None: {"light": light}, frames, None)
    assert list(values) == ["light"] and values["light"] is light
    assert values_of(lambda frames, prompts, *, fps=None: light, frames, None) == {"reward": light}
    expected = scores_of(reward, frames, ["a", "b"], fps=8.0).values
    found = values_of(reward, frames, ["a", "b"], fps=8.0)
    assert list(found) == list(expected)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    with pytest.raises(ValueError, match="'reward' has shape"):
        values_of(returns(torch.ones(3)), frames, None)


def test_prompts_and_rates_reach_the_reward(frames: Tensor) -> None:
    seen: list[Any] = []

    def spy(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        seen.append((prompts, fps))
        return bright(frames, prompts)

    scores_of(spy, frames, ["a", None], fps=12.0)
    assert seen == [(["a", None], 12.0)]


def test_gradients_flow_where_the_caller_wants_them(reward: VideoReward, frames: Tensor) -> None:
    pixels = frames.clone().requires_grad_()
    for each in (bright, both, reward):
        scores = scores_of(each, pixels, None)
        (gradient,) = torch.autograd.grad(scores.total.sum(), pixels)
        assert float(gradient.abs().sum()) > 0
    with torch.no_grad():
        assert not scores_of(reward, pixels, None).total.requires_grad


@pytest.mark.parametrize(
    ("returned", "weights", "message"),
    [
        (
            torch.ones(2),
            {"motion": 1.0},
            r"weights of motion need a reward that returns \{dimension: \(B,\)\}; this one "
            "returned a tensor, so leave weights out",
        ),
        (torch.ones(2, 1), None, r"'reward' has shape \(2, 1\) for 2 videos; it must be \(2,\)"),
        (torch.tensor(1.0), None, r"'reward' has shape \(\) for 2 videos"),
        (torch.ones(2, dtype=torch.long), None, "'reward' is torch.int64; it must be a floating"),
        ([1.0, 2.0], None, r"returned list \[1.0, 2.0\]; it must return a \(B,\) tensor or"),
        (None, None, "returned NoneType None; it must return"),
        ({}, None, r"returned dict \{\}; it must return"),
        ({"motion": [1.0, 2.0]}, {"motion": 1.0}, "'motion' is list; it must be a floating"),
        (
            {"motion": torch.ones(2)},
            None,
            r"returned motion and no 'overall'; say what counts with weights=\{dimension",
        ),
        (
            {"motion": torch.ones(2)},
            {"beauty": 1.0},
            "weights have 'beauty', which the reward does not return; it returned motion",
        ),
        ({"motion": torch.ones(2)}, {"motion": math.nan}, "the weight of 'motion' is nan; it must"),
        ({"motion": torch.ones(2)}, {}, "weights are empty; name a dimension, or pass None"),
        (
            {"overall": torch.ones(2), "motion": torch.tensor([1.0, math.nan])},
            None,
            "'motion' is not finite for video 1 of the batch",
        ),
        (torch.tensor([math.inf, -math.inf]), None, "'reward' is not finite for video 0, 1 of"),
    ],
)
def test_what_a_reward_may_not_return(
    frames: Tensor, returned: Any, weights: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        scores_of(returns(returned), frames, None, weights=weights)


def test_weights_of_a_dimension_that_is_not_scored(reward: VideoReward, frames: Tensor) -> None:
    with pytest.raises(ValueError, match="unknown dimension 'beauty'; this reward scores"):
        scores_of(reward, frames, None, weights={"motion": 1.0, "beauty": 1.0})

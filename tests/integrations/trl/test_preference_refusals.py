"""Candidates and settings that make no data set of preferences, told by their place."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from aigv_reward import FilterRules, VideoDecodeError
from aigv_reward.integrations.trl import preference_dataset

FRAMES = torch.zeros(2, 3, 4, 4)
RULES = FilterRules(minimum={"reward": 0.5})
GOOD = {"prompt": "a", "video": "a.mp4", "completion": "b", "scores": {"reward": 1.0}}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "ppo"}, "form is 'ppo'; choose path, text, kto"),
        ({"form": "kto"}, r"give desirable=FilterRules\(...\) with form='kto', and only there"),
        ({"desirable": RULES}, r"give desirable=FilterRules\(...\) with form='kto', and only"),
        ({"strategy": "best"}, "strategy is 'best'; choose best_worst, all, pareto"),
        ({"min_margin": -1.0}, "min_margin is -1.0; it must be 0 or more"),
        ({"dimensions": []}, r"dimensions are \[\]; name at least one, in a list"),
        ({"dimensions": "reward"}, "dimensions are 'reward'; name at least one, in a list"),
        (
            {"dimensions": ["reward"], "weights": {"reward": 1.0}},
            "give dimensions or weights, not both",
        ),
        ({"dimensions": ["beauty"]}, "candidate 0 has no score of 'beauty'; leave it out"),
        (
            {"min_margin": 0.5},
            "2 candidates of 1 prompts give no pair over min_margin=0.5 with "
            "strategy='best_worst'; lower it, or give several candidates a prompt",
        ),
    ],
)
def test_settings(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preference_dataset([GOOD, GOOD], None, **settings)


@pytest.mark.parametrize(
    ("row", "settings", "message"),
    [
        (without("prompt"), {}, "candidate 1 has no 'prompt'; it has video, completion, scores,"),
        (without("video"), {}, "has no 'video'; .* form='path' needs prompt, scores, video"),
        (without("scores"), {}, "candidate 1 has no 'scores'; .* needs prompt, scores, video"),
        (
            without("completion"),
            {"form": "text"},
            "has no 'completion'; .* form='text' needs prompt, scores, completion",
        ),
        ({**GOOD, "completion": None}, {"form": "kto", "desirable": RULES}, "no 'completion'"),
        ({**GOOD, "video": FRAMES}, {}, "candidate 1: the video is a Tensor; form='path' needs"),
        (
            {**GOOD, "scores": {"a": 1.0, "b": 2.0}},
            {},
            "candidate 1 has scores of a, b and no 'overall'; say what counts with dimensions",
        ),
    ],
)
def test_candidates(row: Any, settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preference_dataset([GOOD, row], None, **settings)


def test_candidates_to_be_scored(bright: Any) -> None:
    with pytest.raises(ValueError, match="there are no candidates; give rows with prompt and"):
        preference_dataset([], bright)
    with pytest.raises(
        ValueError, match=r"candidate 0 has no 'video'; .* needs prompt, video, completion"
    ):
        preference_dataset([without("video")], bright, form="text")
    with pytest.raises(VideoDecodeError, match=r"gone\.mp4"):
        preference_dataset([{"prompt": "a", "video": "gone.mp4"}], bright)
    with pytest.raises(ValueError, match="weights of light need a reward that returns"):
        rows = [{"prompt": "a", "completion": "b", "video": FRAMES}]
        preference_dataset(rows, bright, form="text", dimensions=["light"])

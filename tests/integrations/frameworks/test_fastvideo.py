"""FastVideoScorer in a small FastVideo: one of several scorers of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward.integrations.frameworks import FastVideoScorer
from aigv_reward.integrations.rewards import BatchScores


def build_multi_reward_scorer(
    reward_weights: Mapping[str, float], *, device: Any, scorers: Mapping[str, Any]
) -> Any:
    """FastVideo's weighted sum; names of its configuration are lowered."""
    weights = {name.lower(): weight for name, weight in reward_weights.items()}
    assert weights.keys() <= scorers.keys()

    @torch.no_grad()
    def score(media: Tensor, prompts: list[str]) -> dict[str, Tensor]:
        details: dict[str, Tensor] = {}
        for name in weights:
            details[name] = scorers[name](media, prompts).detach().float()
            assert details[name].shape == (len(prompts),)
        details["avg"] = torch.stack([details[n] * w for n, w in weights.items()]).sum(0)
        return details

    return score


@pytest.mark.parametrize(
    ("reward", "dtype"),
    [("toy", torch.float32), ("lite", torch.float32), ("lite", torch.bfloat16)],
    indirect=["reward"],
)
def test_videos(
    reward: Any, frames: Tensor, prompts: list[str], expected: BatchScores, dtype: torch.dtype
) -> None:
    scorer = FastVideoScorer(reward, fps=16)
    scorers = {"video_quality": scorer, "light": lambda media, _: media.mean(dim=(1, 2, 3, 4))}
    weights = {"Video_Quality": 2.0, "light": 0.0}
    fn = build_multi_reward_scorer(weights, device="cpu", scorers=scorers)
    found = fn(frames.transpose(1, 2).to(dtype), prompts)
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.3}
    torch.testing.assert_close(found["video_quality"], expected.total, **close)
    torch.testing.assert_close(found["avg"], 2 * found["video_quality"])
    torch.testing.assert_close(dict(scorer.scores), expected.values, **close)


def test_scores_carry_no_graph(toy: Any, frames: Tensor, prompts: list[str]) -> None:
    media = frames.transpose(1, 2).clone().requires_grad_()
    assert not FastVideoScorer(toy, fps=16)(media, prompts).requires_grad


def test_failures_raise(toy: Any, broken: Any, frames: Tensor, prompts: list[str]) -> None:
    media = frames.transpose(1, 2)
    with pytest.raises(ValueError, match="'reward' is not finite for video 1"):
        FastVideoScorer(broken, fps=16)(media, prompts)
    with pytest.raises(ValueError, match="expected layout 'bcthw'"):
        FastVideoScorer(toy, fps=16)(frames, prompts)
    with pytest.raises(ValueError, match="expected layout 'bcthw'"):
        FastVideoScorer(toy, fps=16)(media[:, :, 0], prompts)
    with pytest.raises(ValueError, match="weights have 'sharpness'"):
        FastVideoScorer(toy, fps=16, weights={"sharpness": 1.0})(media, prompts)
    with pytest.raises(ValueError, match="fps is nan"):
        FastVideoScorer(toy, fps=float("nan"))


def test_the_readme(
    snippets: Callable[[str], list[tuple[str, str]]], frames: Tensor, prompts: list[str]
) -> None:
    host: dict[str, Any] = {
        "build_multi_reward_scorer": build_multi_reward_scorer,
        "self": SimpleNamespace(),
        "device": "cpu",
    }
    for _, code in snippets("FastVideo"):
        exec(code, host)
    found = host["self"]._reward_scorer(frames.transpose(1, 2), prompts)
    assert ((found["avg"] > 1) & (found["avg"] < 5)).all()

"""FlowGRPOScore in a small flow_grpo: a table of factories, scored in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aigv_reward.integrations.frameworks import FlowGRPOScore
from aigv_reward.integrations.rewards import BatchScores, scores_of


def multi_score(device: torch.device, table: dict[str, Any], score_dict: dict[str, float]) -> Any:
    """flow_grpo's composition of rewards: factories are asked for a `device` by their code."""
    fns = {
        name: table[name](device) if "device" in table[name].__code__.co_varnames else table[name]()
        for name in score_dict
    }

    def score(images: Any, prompts: Any, metadata: Any, only_strict: bool = True) -> Any:
        details: dict[str, Any] = {}
        total: list[Any] = []
        for name, weight in score_dict.items():
            scores, _ = fns[name](images, prompts, metadata)
            details[name] = scores
            weighted = [weight * one for one in scores]
            total = [a + b for a, b in zip(total, weighted, strict=True)] if total else weighted
        return {**details, "avg": total}, {}

    return score


def collect(reward_fn: Any, images: Any, prompts: Any) -> dict[str, Tensor]:
    """The training script: rewards are computed by threads while the main one samples."""
    with torch.no_grad(), ThreadPoolExecutor(max_workers=8) as pool:
        futures = [
            pool.submit(reward_fn, images, prompts, [{}] * len(prompts), only_strict=True)
            for _ in range(3)
        ]
        rewards = [future.result()[0] for future in futures]
    assert not any(getattr(v, "requires_grad", False) for v in rewards[0].values())
    found = [
        {name: torch.as_tensor(value, device="cpu").float() for name, value in one.items()}
        for one in rewards
    ]
    for one in found[1:]:
        torch.testing.assert_close(one, found[0], rtol=0, atol=1e-5)
    return found[0]


@pytest.mark.parametrize(
    ("reward", "dtype"),
    [("toy", torch.float32), ("toy", torch.bfloat16), ("lite", torch.float32)],
    indirect=["reward"],
)
def test_videos(
    reward: Any, frames: Tensor, prompts: list[str], expected: BatchScores, dtype: torch.dtype
) -> None:
    videos = frames.to(dtype)
    total = expected.total
    if dtype == torch.bfloat16:
        total = scores_of(reward, videos.float(), prompts, fps=16.0).total

    def aigv_score(device: torch.device) -> FlowGRPOScore:
        return FlowGRPOScore(reward, device, fps=16, layout="btchw")

    def zeros() -> Any:
        return lambda images, prompts, metadata: (np.zeros(len(prompts)), {})

    table = {"aigv": aigv_score, "zeros": zeros}
    reward_fn = multi_score(torch.device("cpu"), table, {"aigv": 0.5, "zeros": 1.0})
    found = collect(reward_fn, videos, tuple(prompts))
    torch.testing.assert_close(found["aigv"], total, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["avg"], 0.5 * total, rtol=1e-5, atol=1e-5)


def test_dimensions_are_the_second_value(
    reward: Any, frames: Tensor, prompts: list[str], expected: BatchScores
) -> None:
    _, extras = FlowGRPOScore(reward, "cpu", fps=16, layout="btchw")(frames, prompts, {})
    torch.testing.assert_close(extras, expected.values, rtol=1e-5, atol=1e-5)


def test_scores_go_to_the_device(toy: Any, frames: Tensor, prompts: list[str]) -> None:
    """The one device besides the processor that every computer has: it holds no data."""
    scores, extras = FlowGRPOScore(toy, "meta", fps=16, layout="btchw")(frames, prompts, {})
    assert {one.device.type for one in (scores, *extras.values())} == {"meta"}


def test_images_are_videos_of_one_frame(toy: Any, frames: Tensor, prompts: list[str]) -> None:
    images = frames[:, 0]
    expected = scores_of(toy, images[:, None], prompts, fps=16.0).total
    tensors, _ = FlowGRPOScore(toy, "cpu", fps=16, layout="bchw")(images, prompts, {})
    torch.testing.assert_close(tensors, expected, rtol=1e-5, atol=1e-5)
    array = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    arrays, _ = FlowGRPOScore(toy, "cpu", fps=16, layout="bhwc")(array, prompts, {})
    torch.testing.assert_close(arrays, expected, rtol=1e-5, atol=1e-5)


def test_failures_raise(toy: Any, broken: Any, frames: Tensor, prompts: list[str]) -> None:
    def score(reward: Any, images: Any, layout: Any = "btchw", **kwargs: Any) -> Any:
        return FlowGRPOScore(reward, "cpu", fps=16, layout=layout, **kwargs)(images, prompts, {})

    with pytest.raises(ValueError, match="'reward' is not finite for video 1"):
        score(broken, frames)
    with pytest.raises(ValueError, match="expected layout 'btchw'"):
        score(toy, frames[:, 0])
    with pytest.raises(ValueError, match=r"the video is torch.float32; expected uint8"):
        score(toy, frames[:, 0].permute(0, 2, 3, 1), "bhwc")
    with pytest.raises(ValueError, match="weights have 'sharpness'"):
        score(toy, frames, weights={"sharpness": 1.0})
    with pytest.raises(ValueError, match="unknown layout 'nchw'; choose from btchw, bchw, bhwc"):
        score(toy, frames, "nchw")
    with pytest.raises(ValueError, match="prompts is 1 entries for 2 videos"):
        FlowGRPOScore(toy, "cpu", fps=16, layout="btchw")(frames, ["a cat"], {})
    with pytest.raises(ValueError, match="fps is 0; give the positive"):
        FlowGRPOScore(toy, "cpu", fps=0, layout="btchw")


def test_the_readme(
    snippets: Callable[[str], list[tuple[str, str]]], frames: Tensor, prompts: list[str]
) -> None:
    """The function fits the table, under the name that the config gives a weight."""
    blocks = snippets("flow_grpo and DiffusionNFT")
    host: dict[str, Any] = {"score_functions": {}, "config": SimpleNamespace()}
    for _, code in blocks:
        exec(code, host)
    reward_fn = multi_score(torch.device("cpu"), host["score_functions"], host["config"].reward_fn)
    found = collect(reward_fn, frames, prompts)
    assert found["avg"].shape == (2,) and ((found["avg"] > 1) & (found["avg"] < 5)).all()

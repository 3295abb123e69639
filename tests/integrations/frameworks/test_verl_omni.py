"""VerlOmniScore in a small verl-omni: one sample, by keyword, in a worker thread."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward.integrations.frameworks import VerlOmniScore
from aigv_reward.integrations.rewards import BatchScores


async def run_single(compute_score: Any, video: Tensor, prompt: Any) -> dict[str, Any]:
    """The visual reward manager: bytes in, a float and what to log out."""
    assert video.dtype == torch.uint8 and not inspect.iscoroutinefunction(compute_score)
    result = await asyncio.get_running_loop().run_in_executor(
        None,
        lambda: compute_score(
            data_source="prompts",
            solution_image=video,
            ground_truth=prompt,
            extra_info={"num_turns": None, "rollout_reward_scores": {}},
            reward_router_address=None,
        ),
    )
    score = result["score"] if isinstance(result, dict) else result
    extra = {k: v for k, v in result.items() if k != "score"} if isinstance(result, dict) else {}
    return {"reward_score": score, "reward_extra_info": extra}


def score_all(compute_score: Any, frames: Tensor, prompts: Any) -> list[dict[str, Any]]:
    async def every() -> list[dict[str, Any]]:
        videos = (frames * 255).round().to(torch.uint8)
        return await asyncio.gather(
            *(run_single(compute_score, v, p) for v, p in zip(videos, prompts, strict=True))
        )

    return asyncio.run(every())


def test_samples_are_scored_at_once(
    reward: Any, frames: Tensor, prompts: list[str], expected: BatchScores
) -> None:
    found = score_all(VerlOmniScore(reward, fps=16), frames, prompts)
    assert torch.tensor([one["reward_score"] for one in found]).shape == (2,)
    for index, one in enumerate(found):
        assert type(one["reward_score"]) is float
        assert one["reward_score"] == pytest.approx(float(expected.total[index]), abs=1e-5)
        assert one["reward_extra_info"].keys() == expected.values.keys()
        for name, value in one["reward_extra_info"].items():
            assert type(value) is float
            assert value == pytest.approx(float(expected.values[name][index]), rel=1e-5)


def test_weights_choose_the_score(toy: Any, frames: Tensor, prompts: list[str]) -> None:
    weights = {"motion": 0.5, "technical": -2.0}
    (found, _) = score_all(VerlOmniScore(toy, fps=16, weights=weights), frames, prompts)
    extra = found["reward_extra_info"]
    assert found["reward_score"] == pytest.approx(0.5 * extra["motion"] - 2 * extra["technical"])


def test_failures_raise(toy: Any, broken: Any, frames: Tensor, prompts: list[str]) -> None:
    with pytest.raises(ValueError, match="'reward' is not finite for video 0"):
        score_all(VerlOmniScore(broken, fps=16), frames, prompts)
    with pytest.raises(ValueError, match=r"the video is torch.float32; expected uint8"):
        VerlOmniScore(toy, fps=16)("prompts", frames[0], "a cat")
    with pytest.raises(ValueError, match=r"expected layout 'tchw'"):
        VerlOmniScore(toy, fps=16)("prompts", frames.byte(), "a cat")
    with pytest.raises(ValueError, match=r"prompts has an entry \['a cat'\]"):
        VerlOmniScore(toy, fps=16)("prompts", frames[0].byte(), ["a cat"])
    with pytest.raises(ValueError, match="weights have 'sharpness', which the reward does not"):
        score_all(VerlOmniScore(toy, fps=16, weights={"sharpness": 1.0}), frames, prompts)
    with pytest.raises(ValueError, match="fps is None"):
        VerlOmniScore(toy, fps=None)  # type: ignore[arg-type]


def test_a_dimension_called_score(plain: Any, frames: Tensor) -> None:
    def named(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
        return {"score": plain(frames, prompts), "overall": plain(frames, prompts)}

    with pytest.raises(ValueError, match="dimension called 'score', which verl-omni keeps"):
        VerlOmniScore(named, fps=16)("prompts", frames[0].byte(), "a cat")


def test_the_readme(
    snippets: Callable[[str], list[tuple[str, str]]],
    frames: Tensor,
    prompts: list[str],
    tmp_path: Path,
) -> None:
    """The file and the name of the README's config are what verl-omni loads."""
    blocks = snippets("verl-omni")
    config = dict(line.split("=") for line in blocks[1][1].split())
    path = tmp_path / config["reward.custom_reward_function.path"]
    assert path.name in blocks[0][1]
    path.write_text(blocks[0][1])
    spec = importlib.util.spec_from_file_location("custom_module", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    compute_score = getattr(module, config["reward.custom_reward_function.name"])
    found = score_all(compute_score, frames, prompts)
    assert all(1 < one["reward_score"] < 5 for one in found)
    assert "+reward.reward_functions.video_quality.required=true" in blocks[2][1]

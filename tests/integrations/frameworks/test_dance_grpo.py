"""DanceGRPOInferencer in a small DanceGRPO: mp4 files in, floats by VideoAlign's names out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from torch import Tensor

from aigv_reward import VideoDecodeError, VideoReward, read_video
from aigv_reward.integrations.frameworks import DanceGRPOInferencer
from aigv_reward.integrations.rewards import scores_of

NAMES = {"VQ": "technical", "MQ": "motion", "TA": "semantic"}


@pytest.fixture(scope="module")
def paths(frames: Tensor, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the host's export_to_video leaves."""
    folder = tmp_path_factory.mktemp("videos")
    found = []
    for index, video in enumerate((frames * 255).round().byte()):
        path = folder / f"hunyuan_0_{index}.mp4"
        with av.open(path, "w") as container:
            stream = container.add_stream("libx264", rate=16)
            stream.height, stream.width = video.shape[-2:]
            stream.pix_fmt = "yuv420p"
            for picture in video.permute(0, 2, 3, 1).numpy():
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        found.append(str(path))
    return found


@pytest.fixture(scope="module")
def calibrated() -> VideoReward:
    return VideoReward.from_pretrained(calibrated=True)


@pytest.mark.parametrize("kind", ["toy", "calibrated"])
def test_files(kind: str, paths: list[str], prompts: list[str], request: Any) -> None:
    reward = request.getfixturevalue(kind)
    found = DanceGRPOInferencer(reward).reward(paths, prompts, use_norm=True)
    assert len(found) == 2
    for path, prompt, one in zip(paths, prompts, found, strict=True):
        video = read_video(path)
        assert video.fps == 16
        with torch.no_grad():
            expected = scores_of(reward, video.frames[None].float() / 255, [prompt], fps=16.0)
        assert one.keys() == {*NAMES, "Overall"}
        assert all(type(value) is float for value in one.values())
        assert one["Overall"] == pytest.approx(float(expected.total), abs=1e-5)
        for name, of in NAMES.items():
            assert one[name] == pytest.approx(float(expected.values[of]), rel=1e-5)


def test_files_score_as_they_do_elsewhere(
    lite: VideoReward, paths: list[str], prompts: list[str]
) -> None:
    """Up to the grey level that the fast path for files may differ by."""
    expected = lite.score(paths, prompts).values
    for index, one in enumerate(DanceGRPOInferencer(lite).reward(paths, prompts, use_norm=False)):
        for name, of in NAMES.items():
            assert one[name] == pytest.approx(float(expected[of][index]), abs=0.02)


def test_weights_are_of_overall(toy: Any, paths: list[str], prompts: list[str]) -> None:
    (found,) = DanceGRPOInferencer(toy, weights={"motion": 2.0}).reward(paths[:1], prompts[:1])
    assert found["Overall"] == pytest.approx(2 * found["MQ"])


def test_failures_raise(
    toy: Any, plain: Any, lite: VideoReward, calibrated: VideoReward, paths: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"use_norm=True but .*from_pretrained\(calibrated=True"):
        DanceGRPOInferencer(lite).reward(paths[:1], ["a cat"], use_norm=True)
    with pytest.raises(ValueError, match=r"use_norm=False but .* calibrated=True; build it"):
        DanceGRPOInferencer(calibrated).reward(paths[:1], ["a cat"], use_norm=False)
    with pytest.raises(ValueError, match=r"needs technical, .*; the reward returned reward, not"):
        DanceGRPOInferencer(plain).reward(paths[:1], ["a cat"])
    with pytest.raises(ValueError, match="video_paths is one string, '"):
        DanceGRPOInferencer(toy).reward(paths[0], ["a cat"])
    with pytest.raises(ValueError, match="prompts is 2 entries for 1 videos"):
        DanceGRPOInferencer(toy).reward(paths[:1], ["a cat", "a dog"])
    with pytest.raises(VideoDecodeError, match=r"absent\.mp4"):
        DanceGRPOInferencer(toy).reward([str(Path(paths[0]).with_name("absent.mp4"))], ["a cat"])


def test_the_readme(
    snippets: Callable[[str], list[tuple[str, str]]], paths: list[str], prompts: list[str]
) -> None:
    host: dict[str, Any] = {
        "torch": torch,
        "device": torch.device("cpu"),
        "absolute_path": paths[0],
        "batch_caption": prompts[:1],
        "all_vq_rewards": [],
        "all_mq_rewards": [],
    }
    for _, code in snippets("DanceGRPO"):
        exec(code, host)
    for kind in ("vq", "mq"):
        assert torch.cat(host[f"all_{kind}_rewards"]).shape == (1,)

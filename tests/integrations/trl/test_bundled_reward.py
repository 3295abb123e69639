"""The reward that `trl grpo` finds by its dotted path."""

from __future__ import annotations

import importlib
import os

import pytest
import torch

from aigv_reward import VideoReward, read_video
from aigv_reward.integrations.trl import bundled_reward
from aigv_reward.integrations.trl.column_reward import _bundled


def test_the_bundled_reward_loads_once_when_it_is_called(
    clips: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _bundled.cache_clear()
    loads: list[VideoReward] = []
    load = VideoReward.from_pretrained

    def counted() -> VideoReward:
        loads.append(load())
        return loads[-1]

    monkeypatch.setattr(VideoReward, "from_pretrained", counted)
    module, _, name = "aigv_reward.integrations.trl.bundled_reward".rpartition(".")
    named = getattr(importlib.import_module(module), name)  # as `trl grpo` does
    assert named is bundled_reward and named.__name__ == "bundled_reward" and loads == []
    videos = [clips["harbour_clean"], clips["harbour_compression"]]
    first = named(prompts=["boats"] * 2, completions=["1", "2"], videos=[videos] * 2)
    assert first == named(["boats"] * 2, ["1", "harbour_compression"], videos=[videos] * 2)
    assert len(loads) == 1
    for path, score in zip(videos, first, strict=True):
        video = read_video(path)
        with torch.no_grad():
            total = loads[0](video.frames[None].float() / 255, ["boats"], fps=video.fps)
        assert score == pytest.approx(float(total), abs=1e-5)
    assert first[0] > first[1]
    assert named(["x"], ["boats"], video=videos[:1]) == pytest.approx(first[:1], abs=1e-5)
    _bundled.cache_clear()


def test_the_bundled_reward_needs_one_column(clips: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="the data set has no column videos or video; give it one"):
        bundled_reward(["a"], ["b"], clip=[os.devnull])
    with pytest.raises(ValueError, match="the data set has videos and video; give it one"):
        bundled_reward(["a"], ["b"], videos=[[]], video=[""])

"""Completions that choose or describe clips of the data set."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.trl import QualityColumnReward, bundled_reward
from aigv_reward.integrations.trl.column_reward import choice

CLIPS = [str(Path("examples/clips").resolve() / f"city_{n}.mp4") for n in ("clean", "noise")]


def brightness(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    return frames.mean(dim=(1, 2, 3, 4)) + len(prompts[0])


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("1", 0),
        ("The second, 2.", 1),
        ("clip_2.mp4", 0),
        ("clip_2", 0),
        ("/data/clip_3.mp4 is best", 1),
        ("clip_2 beats clip_3", None),
        ("3", None),
        ("0", None),
        ("1 or 2", None),
        ("neither", None),
        ("", None),
        ("clip_22", None),
        ("1.5", None),
    ],
)
def test_one_candidate_is_named_or_numbered(answer: str, chosen: int | None) -> None:
    assert choice(answer, ["/data/clip_2.mp4", "/data/clip_3.mp4"]) == chosen


def test_a_name_within_a_name_is_not_found_twice() -> None:
    assert choice("cat_night.mp4", ["cat.mp4", "cat_night.mp4"]) == 1
    assert choice("video_b", ["video_a", "video_b"]) == 1


@given(st.text(max_size=30), st.integers(1, 5))
def test_any_answer_is_an_index_or_nothing(answer: str, count: int) -> None:
    found = choice(answer, [f"/clips/{index}x.mp4" for index in range(count)])
    assert found is None or 0 <= found < count


def test_a_choice_gets_the_score_of_its_file() -> None:
    reward = VideoReward.from_pretrained()
    scores = reward.score(CLIPS, prompts=["a city"] * 2).overall.tolist()
    func = QualityColumnReward(reward, "videos")
    columns = {"videos": [CLIPS] * 3}
    found = func(["a city"] * 3, ["1", "city_noise", "both"], **columns)
    assert found == [pytest.approx(scores[0], abs=2e-3), pytest.approx(scores[1], abs=2e-3), None]
    func = QualityColumnReward(reward, "videos", invalid=0.5)
    assert func(["a city"] * 2, ["1", "both"], videos=[CLIPS] * 2)[1] == 0.5


def test_columns_are_chosen_by_name_or_number() -> None:
    dark, light = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    func = QualityColumnReward(brightness, ["video_a", "video_b"], fps=8)
    columns = {"video_a": [dark] * 2, "video_b": [light] * 2}
    assert func(["ab"] * 2, ["video_b", "1"], **columns) == [3.0, 2.0]


def test_a_description_is_the_prompt_it_is_scored_with() -> None:
    func = QualityColumnReward(brightness, "video")
    video = [torch.zeros(2, 3, 4, 4), {"path": CLIPS[0], "bytes": None}]
    scores = func(["x"] * 2, ["abc", "abcde"], video=video)
    assert scores[0] == 3.0
    assert scores[1] is not None and 5 < scores[1] < 6
    assert pickle.loads(pickle.dumps(func))(["x"], ["ab"], video=video[:1]) == [2.0]


def test_parse_finds_the_answer() -> None:
    func = QualityColumnReward(brightness, "videos", parse=lambda text: text.split("=")[-1])
    videos = [[torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)]]
    assert func(["a"], ["1 is worse, answer=2"], videos=videos) == [2.0]


def test_a_video_that_fails_is_none(caplog: pytest.LogCaptureFixture) -> None:
    func = QualityColumnReward(brightness, "video")
    videos = [CLIPS[0], "missing.mp4"]
    assert func(["a"] * 2, ["b"] * 2, video=videos)[1] is None
    assert "no score for missing.mp4: VideoDecodeError" in caplog.text
    with pytest.raises(ValueError, match=r"missing\.mp4"):
        func(["a"], ["b"], video=["missing.mp4"])
    with pytest.raises(ValueError, match=r"missing\.mp4"):
        func(["a"] * 2, ["b"] * 2, video=videos, trainer_state=object())
    choose = QualityColumnReward(brightness, "videos")
    with pytest.raises(ValueError, match="counts a missing reward as 0; give invalid= a number"):
        choose(["a"], ["none"], videos=[CLIPS], trainer_state=object())


def test_what_is_refused() -> None:
    for column, cache in (("", 1), ([], 1), ("video", -1)):
        with pytest.raises(ValueError, match="name a column, cache >= 0"):
            QualityColumnReward(brightness, column, cache=cache)
    with pytest.raises(ValueError, match="no column 'videos'; there are clips"):
        QualityColumnReward(brightness, "videos")(["a"], ["1"], clips=[CLIPS])
    with pytest.raises(ValueError, match="give a path, bytes, a Video or a tensor"):
        QualityColumnReward(brightness, "video")(["a"], ["1"], video=[3])


def test_the_bundled_reward_takes_either_column() -> None:
    chosen = bundled_reward(["a city"] * 2, ["1", "2"], videos=[CLIPS] * 2)
    assert chosen[0] is not None and chosen[1] is not None and chosen[0] > chosen[1]
    described = bundled_reward(["x"], ["a city"], video=CLIPS[:1])
    assert described[0] == chosen[0]
    assert bundled_reward.__name__ == "bundled_reward"
    with pytest.raises(ValueError, match="no column videos or video; give it one of them"):
        bundled_reward(["a"], ["1"], clips=[CLIPS])
    with pytest.raises(ValueError, match="the data set has videos and video"):
        bundled_reward(["a"], ["1"], videos=[CLIPS], video=CLIPS[:1])

"""Clips that a completion chooses or describes."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset, Video
from torch import Tensor, nn

from aigv_reward import VideoDecodeError, read_video
from aigv_reward.integrations.trl import QualityColumnReward


@pytest.fixture
def scored(bright: Any) -> Any:
    """A plain reward that remembers (mean, prompt, fps) of every video that it scores."""

    def reward(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        (prompt,) = prompts
        reward.calls.append((float(frames.mean()), prompt, fps))
        return bright(frames, prompts)

    reward.calls = []
    return reward


def tensors(*values: float) -> list[Tensor]:
    return [torch.full((2, 3, 4, 4), value) for value in values]


def light(path: str) -> float:
    return float((read_video(path).frames.float() / 255)[None].mean(dim=(1, 2, 3, 4)))


def test_a_file_is_chosen_by_number_or_name(scored: Any, clips: dict[str, str]) -> None:
    videos = [clips["city_clean"], clips["harbour_clean"]]
    reward = QualityColumnReward(scored, "videos")
    found = reward(["a city"] * 4, ["2", "city_clean", "none", "1 or 2"], videos=[videos] * 4)
    assert found == [light(videos[1]), light(videos[0]), None, None]
    assert [(prompt, fps) for _, prompt, fps in scored.calls] == [("a city", 16.0)] * 2


def test_a_file_is_described_by_the_completion(scored: Any, clips: dict[str, str]) -> None:
    path = clips["harbour_clean"]
    cells = [path, Path(path), Path(path).read_bytes(), {"bytes": None, "path": path}]
    asked = [[{"role": "user", "content": "Describe the video."}]] * 4
    answers = [[{"role": "assistant", "content": f"boats {n}"}] for n in range(4)]
    found = QualityColumnReward(scored, "clip")(asked, answers, clip=cells)
    assert found == [light(path)] * 4
    assert [prompt for _, prompt, _ in scored.calls] == ["boats 0", "boats 1", "boats 2", "boats 3"]


def test_cells_of_a_video_column_of_datasets(scored: Any, clips: dict[str, str]) -> None:
    paths = [clips["city_clean"], clips["harbour_clean"]]
    rows = Dataset.from_dict({"video": paths}).cast_column("video", Video(decode=False))
    found = QualityColumnReward(scored, "video")(["a"] * 2, ["b"] * 2, video=rows["video"][:])
    assert found == [light(path) for path in paths]


def test_several_columns_are_chosen_by_name_or_number(scored: Any) -> None:
    left, right = tensors(0.25, 0.75)
    reward = QualityColumnReward(scored, ["left", "right"], fps=8.0)
    columns = {"left": [left] * 3, "right": [right] * 3}
    assert reward(["a"] * 3, ["the right one", "1", "both"], **columns) == [0.75, 0.25, None]
    assert [call[1:] for call in scored.calls] == [("a", 8.0)] * 2


def test_invalid_answers_cost_what_is_asked(scored: Any) -> None:
    cells = [tensors(0.5, 0.75)] * 3
    reward = QualityColumnReward(scored, "videos", invalid=-1.0)
    assert reward(["a"] * 3, ["1", "7", "two"], videos=cells) == [0.5, -1.0, -1.0]
    strict = QualityColumnReward(scored, "videos", parse=lambda text: text.split("answer:")[-1])
    assert strict(["a"] * 3, ["1 or 2? answer: 2"] * 3, videos=cells) == [0.75] * 3


def test_integers_are_grey_levels_and_weights_count(judge: Any) -> None:
    frames = torch.randint(0, 256, (4, 3, 6, 8), dtype=torch.uint8)
    values = judge(frames[None].float() / 255, ["three words here"])
    reward = QualityColumnReward(judge, "video", weights={"motion": 2.0, "words": 0.5})
    (found,) = reward(["a"], ["three words here"], video=[frames])
    assert found == pytest.approx(2 * float(values["motion"]) + 1.5)


def test_scores_of_files_are_remembered(scored: Any, clips: dict[str, str]) -> None:
    one, two = clips["harbour_clean"], clips["harbour_compression"]
    reward = QualityColumnReward(scored, "video", cache=1)
    for path, text in [(one, "a"), (one, "a"), (one, "b"), (one, "a"), (two, "a"), (two, "a")]:
        reward(["x"], [text], video=[path])
    assert [prompt for _, prompt, _ in scored.calls] == ["a", "b", "a", "a"]
    scored.calls.clear()
    latest = QualityColumnReward(scored, "video", cache=2)
    for text in ("a", "b", "a", "c", "a", "b"):  # a is asked again before c pushes b out
        latest(["x"], [text], video=[one])
    assert [prompt for _, prompt, _ in scored.calls] == ["a", "b", "c", "b"]
    scored.calls.clear()
    forgetful = QualityColumnReward(scored, "video", cache=0)
    forgetful(["x"] * 2, ["a"] * 2, video=[two] * 2)
    assert len(scored.calls) == 2


def test_a_file_that_is_at_hand_is_not_known_by_its_name(
    scored: Any, clips: dict[str, str]
) -> None:
    """Shards of `datasets` keep the bytes, and of the path the last part, which may repeat."""
    paths = [clips["city_clean"], clips["harbour_clean"]]
    cells = [{"bytes": Path(path).read_bytes(), "path": "0.mp4"} for path in paths]
    found = QualityColumnReward(scored, "videos")(["a"] * 2, ["1", "2"], videos=[cells] * 2)
    assert found == [light(path) for path in paths]


def test_a_video_that_cannot_be_scored_is_none(
    scored: Any, logs: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    reward = QualityColumnReward(scored, "videos", invalid=-1.0, name="clip")
    cells = [[*tensors(0.5), str(broken), None]] * 4
    answers = ["1", "broken", "3", "8"]
    assert reward(["a"] * 4, answers, videos=cells, **logs.columns) == [0.5, None, None, -1.0]
    assert f"no score for {broken}: VideoDecodeError" in caplog.text
    assert logs.metrics == {"clip/failed": [0.75], "clip/reward": [0.5]}
    assert logs.extras == {"clip/reward": [0.5, None, None, None]}
    with pytest.raises(VideoDecodeError):
        reward(["a"] * 2, ["broken", "8"], videos=cells[:2])
    with pytest.raises(ValueError, match="a video is None; give a path, bytes, a Video or a"):
        QualityColumnReward(scored, "video")(["a"], ["b"], video=[None])


def test_where_none_would_count_as_zero_it_raises(scored: Any) -> None:
    state = {"trainer_state": SimpleNamespace()}
    reward = QualityColumnReward(scored, "videos")
    cells = [[*tensors(0.5), "gone.mp4"]] * 2
    with pytest.raises(ValueError, match="a completion chooses no video, and this trainer counts"):
        reward(["a"] * 2, ["1", "7"], videos=cells, **state)
    with pytest.raises(VideoDecodeError, match=r"gone\.mp4"):
        reward(["a"] * 2, ["1", "2"], videos=cells, **state)
    priced = QualityColumnReward(scored, "videos", invalid=0.0)
    assert priced(["a"] * 2, ["1", "7"], videos=cells, **state) == [0.5, 0.0]


def test_it_is_a_function_that_pickles(judge: Any, clips: dict[str, str]) -> None:
    reward = QualityColumnReward(judge, "video", name="clip")
    assert not isinstance(reward, nn.Module) and reward.__name__ == "clip"
    rows = {"video": [clips["harbour_clean"]]}
    copy = pickle.loads(pickle.dumps(reward))
    assert copy(["a"], ["a b"], **rows) == reward(["a"], ["a b"], **rows)
    assert copy.__name__ == "clip"


def test_what_is_refused(scored: Any) -> None:
    for column in ("", []):
        with pytest.raises(ValueError, match="name a column, cache >= 0"):
            QualityColumnReward(scored, column)
    with pytest.raises(ValueError, match="column is 'video' and cache -1; name a column"):
        QualityColumnReward(scored, "video", cache=-1)
    reward = QualityColumnReward(scored, "video")
    with pytest.raises(ValueError, match=r"no column 'video'; there are none\. TRL drops columns"):
        reward(["a"], ["b"])
    with pytest.raises(ValueError, match="there are 1 prompts and 2 completions"):
        reward(["a"], ["b", "c"], video=tensors(1, 1))
    for video, shape in [(torch.zeros(3, 4, 4), r"\(3, 4, 4\)"), (7, "7")]:
        with pytest.raises(ValueError, match=f"a video is {shape}; give a path, bytes, a Video"):
            reward(["a"], ["b"], video=[video])

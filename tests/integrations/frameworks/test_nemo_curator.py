"""NeMoCuratorStage in a small NeMo Curator: pickled stages and tasks, clips divided."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from aigv_reward import FilterRules, VideoReward

RULES = FilterRules(minimum={"technical": 0.0}, missing="reject")


@pytest.fixture
def stage_class(nemo_curator: Any) -> Any:
    from aigv_reward.integrations.frameworks import NeMoCuratorStage

    return NeMoCuratorStage


@pytest.fixture
def task_of(nemo_curator: Any) -> Callable[..., Any]:
    from nemo_curator.tasks.video import Clip, Video, VideoTask

    def task_of(*buffers: bytes | None) -> Any:
        clips = [Clip(UUID(int=i), "a.mp4", (i, i + 1), data) for i, data in enumerate(buffers)]
        return VideoTask("videos", Video(Path("a.mp4"), clips))

    return task_of


def run(nemo_curator: Any, stage: Any, task: Any) -> Any:
    (found,) = nemo_curator.Pipeline(name="filter").add_stage(stage).run([task])
    return found.data


def ids(clips: Any) -> list[int]:
    return [clip.uuid.int for clip in clips]


def test_a_run(
    nemo_curator: Any, stage_class: Any, task_of: Any, lite: VideoReward, clips: list[Path]
) -> None:
    good = [path.read_bytes() for path in clips]
    expected = lite.score(clips).rows()
    for missing, staying in (("reject", [1, 4]), ("keep", [0, 1, 2, 3, 4])):
        task = task_of(good[0][:400], good[0], None, b"", good[1])
        rules = FilterRules.from_dict(RULES.to_dict() | {"missing": missing})
        video = run(nemo_curator, stage_class(rules), task)
        assert ids(video.clips) == staying
        assert sorted(ids([*video.clips, *video.filtered_clips])) == [0, 1, 2, 3, 4]
        by_id = {clip.uuid.int: clip for clip in [*video.clips, *video.filtered_clips]}
        for index, row in zip((1, 4), expected, strict=True):
            assert by_id[index].aigv_scores == pytest.approx(row, rel=1e-5)
            assert by_id[index].errors == {}
        for index, reason in ((0, "VideoDecodeError"), (2, "there is no"), (3, "there is no")):
            assert by_id[index].aigv_scores == dict.fromkeys(lite.trained)
            assert by_id[index].errors.keys() == {"aigv_reward"}
            assert reason in by_id[index].errors["aigv_reward"]


def test_rules_divide_the_clips(
    nemo_curator: Any, stage_class: Any, task_of: Any, named: str, clips: list[Path]
) -> None:
    """The second clip has a fifth of the first one's contrast; filtered clips are added to."""
    clear, faint = (path.read_bytes() for path in clips)
    scored = run(nemo_curator, stage_class(RULES, reward=named), task_of(clear, faint)).clips
    high, low = (clip.aigv_scores["technical"] for clip in scored)
    assert high > low
    rules = {"minimum": {"technical": (high + low) / 2}, "missing": "reject"}
    task = task_of(faint, clear, faint)
    task.data.filtered_clips.append(SimpleNamespace(uuid=UUID(int=9)))
    video = run(nemo_curator, stage_class(rules, reward=named), task)
    assert ids(video.clips) == [1] and ids(video.filtered_clips) == [9, 0, 2]


def test_the_contract(nemo_curator: Any, stage_class: Any, task_of: Any, named: str) -> None:
    stage = stage_class(RULES, reward=named)
    assert isinstance(stage, nemo_curator.ProcessingStage)
    assert stage.name == "aigv_reward_filter"
    assert stage.inputs() == (["data"], ["clips"])
    assert stage.outputs() == (["data"], ["clips", "filtered_clips"])
    assert stage.validate_input(task_of()) and not stage.validate_input(SimpleNamespace(data=1))
    assert run(nemo_curator, stage, task_of()).clips == []


def test_devices(nemo_curator: Any, stage_class: Any, named: str) -> None:
    """`with_` may give a stage its GPU after it is built."""
    asked: list[str] = []
    for stage in (
        stage_class(RULES, reward=named),
        stage_class(RULES, reward=named, num_gpus_per_worker=0.25),
        stage_class(RULES, reward=named).with_(resources=nemo_curator.Resources(gpus=1)),
    ):
        stage.judge.load = asked.append
        stage.setup()
    assert asked == ["cpu", "cuda", "cuda"]


def test_a_reward_that_cannot_be_loaded_ends_the_run_at_setup(
    nemo_curator: Any, stage_class: Any, task_of: Any, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_class(RULES, reward=named)
    monkeypatch.delitem(sys.modules, "my_rewards")
    with pytest.raises(ModuleNotFoundError, match="my_rewards"):
        run(nemo_curator, stage, task_of())


def test_rules_without_a_policy_raise(stage_class: Any) -> None:
    with pytest.raises(ValueError, match="missing='error', and one broken file would stop"):
        stage_class(FilterRules(minimum={"technical": 1.0}))


def test_the_readme(
    nemo_curator: Any,
    stage_class: Any,
    task_of: Any,
    snippets: Callable[[str], list[tuple[str, str]]],
    clips: list[Path],
) -> None:
    ((_, code),) = snippets("NeMo Curator")
    host: dict[str, Any] = {"pipeline": nemo_curator.Pipeline(name="filter")}
    exec(code, host)
    (stage,) = host["pipeline"].stages
    assert stage.resources.gpus == 0.25
    host["pipeline"].stages = [stage.with_(resources=nemo_curator.Resources())]
    (found,) = host["pipeline"].run([task_of(clips[0].read_bytes(), None)])
    assert 1 in ids(found.data.filtered_clips)

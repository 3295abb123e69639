"""VideoQuality keeps torchmetrics' conventions."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from aigv_reward import DIMENSIONS, VideoReward
from aigv_reward.integrations.frameworks import VideoQuality
from aigv_reward.integrations.rewards import BatchScores

NAMES = ["motion", "technical"]


class Bright:
    def __call__(self, frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4))


@pytest.fixture
def metric(toy: Any) -> VideoQuality:
    return VideoQuality(toy, fps=16, dimensions=NAMES)


@pytest.fixture
def clips() -> Tensor:
    return torch.rand(5, 4, 3, 6, 8, generator=torch.Generator().manual_seed(0))


def means(toy: Any, clips: Tensor) -> dict[str, Tensor]:
    return {name: toy(clips, None, fps=16.0)[name].mean() for name in NAMES}


def test_the_bundled_reward(
    lite: VideoReward, frames: Tensor, prompts: list[str], lite_scores: BatchScores
) -> None:
    """Means over all videos of all batches, of what the checkpoint was trained to answer."""
    metric = VideoQuality(lite, fps=16)
    assert metric.dimensions == DIMENSIONS
    for index in range(2):
        metric.update(frames[index : index + 1], prompts[index : index + 1])
    found = metric.compute()
    assert tuple(found) == DIMENSIONS
    for name, value in found.items():
        torch.testing.assert_close(value, lite_scores.values[name].mean(), rtol=1e-5, atol=1e-5)


def test_it_says_what_it_is(metric: VideoQuality) -> None:
    assert isinstance(metric, Metric)
    assert metric.higher_is_better and metric.is_differentiable
    assert metric.full_state_update is False
    assert metric.metric_state.keys() == {"total", "videos"}
    assert not list(metric.parameters()) and not metric.state_dict()


def test_batches_are_weighed_by_their_videos(toy: Any, metric: VideoQuality, clips: Tensor) -> None:
    metric.update(clips[:4])
    metric.update(clips[4:])
    assert metric.update_count == 2
    torch.testing.assert_close(metric.compute(), means(toy, clips))
    other = VideoQuality(toy, fps=16, dimensions=NAMES)
    other.update(clips)
    torch.testing.assert_close(metric.compute(), other.compute())


def test_forward_is_of_its_batch_and_in_its_graph(
    toy: Any, metric: VideoQuality, clips: Tensor
) -> None:
    metric.update(clips[:2])
    batch = clips[2:].clone().requires_grad_()
    value = metric(batch)
    torch.testing.assert_close(value, means(toy, clips[2:]))
    (grad,) = torch.autograd.grad(value["motion"], batch)
    alone = clips[2:].clone().requires_grad_()
    (wanted,) = torch.autograd.grad(means(toy, alone)["motion"], alone)
    torch.testing.assert_close(grad, wanted)
    assert not metric.total.requires_grad
    torch.testing.assert_close(metric.compute(), means(toy, clips))


def test_update_keeps_no_graph(metric: VideoQuality, clips: Tensor) -> None:
    metric.update(clips.requires_grad_())
    assert not metric.total.requires_grad and not metric.compute()["motion"].requires_grad


def test_reset(toy: Any, metric: VideoQuality, clips: Tensor) -> None:
    metric.update(clips)
    metric.reset()
    assert int(metric.videos) == 0 and metric.total.tolist() == [0.0, 0.0]
    metric.update(clips[:1])
    torch.testing.assert_close(metric.compute(), means(toy, clips[:1]))


def test_states_merge(toy: Any, metric: VideoQuality, clips: Tensor) -> None:
    other = VideoQuality(toy, fps=16, dimensions=NAMES)
    metric.update(clips[:3])
    other.update(clips[3:])
    metric.merge_state(other)
    torch.testing.assert_close(metric.compute(), means(toy, clips))


def test_clones_are_independent(toy: Any, metric: VideoQuality, clips: Tensor) -> None:
    metric.update(clips)
    copy = metric.clone()
    copy.reset()
    torch.testing.assert_close(metric.compute(), means(toy, clips))


def test_pickling(
    lite: VideoReward, frames: Tensor, prompts: list[str], lite_scores: BatchScores
) -> None:
    metric = VideoQuality(lite, fps=16, dimensions=["motion"])
    metric.update(frames[:1], prompts[:1])
    copy = pickle.loads(pickle.dumps(metric))
    torch.testing.assert_close(copy.compute(), metric.compute())
    copy.update(frames[1:], prompts[1:])
    wanted = lite_scores.values["motion"].mean()
    torch.testing.assert_close(copy.compute()["motion"], wanted, rtol=1e-5, atol=1e-5)
    assert int(metric.videos) == 1


def test_a_saved_state(metric: VideoQuality, toy: Any, clips: Tensor) -> None:
    metric.persistent(True)
    metric.update(clips)
    other = VideoQuality(toy, fps=16, dimensions=NAMES)
    other.persistent(True)
    other.load_state_dict(metric.state_dict())
    torch.testing.assert_close(other.total, metric.total)
    assert int(other.videos) == 5


def test_a_collection(toy: Any, metric: VideoQuality, clips: Tensor) -> None:
    light = VideoQuality(Bright(), fps=16, dimensions=["reward"])
    collection = MetricCollection({"quality": metric, "light": light}, prefix="val_")
    collection.update(clips)
    found = collection.compute()
    assert found.keys() == {"val_motion", "val_technical", "val_reward"}
    torch.testing.assert_close(found["val_motion"], means(toy, clips)["motion"])
    torch.testing.assert_close(found["val_reward"], clips.mean())
    batch = collection(clips[:2])
    torch.testing.assert_close(batch["val_reward"], clips[:2].mean())
    collection.reset()
    assert int(collection["quality"].videos) == 0


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """Whichever of them has the videos, and also where one has none."""
    out = tmp_path / "means.json"
    script = Path(__file__).with_name("two_metrics.py")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", script, out],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    videos = torch.rand(5, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    wanted = {"light": float(videos.mean()), "red": float(videos[:, :, 0].mean())}
    for rank in range(2):
        found = json.loads(Path(f"{out}.{rank}").read_text())
        assert found.keys() == {"3 and 2", "5 and 0"}
        for value in found.values():
            assert value == pytest.approx(wanted, rel=1e-6)


def test_what_cannot_be_built(toy: Any, lite: VideoReward) -> None:
    with pytest.raises(ValueError, match="fps is 0; give the positive"):
        VideoQuality(toy, fps=0, dimensions=NAMES)
    with pytest.raises(ValueError, match="dimensions are missing; name those that the reward"):
        VideoQuality(toy, fps=16)
    for names in ([], ["motion", "motion"], "motion"):
        with pytest.raises(ValueError, match="give a list of different names"):
            VideoQuality(toy, fps=16, dimensions=names)
    with pytest.raises(ValueError, match="unknown dimension 'sharpness'; this reward scores tech"):
        VideoQuality(lite, fps=16, dimensions=["sharpness"])


def test_failures_raise(toy: Any, broken: Any, metric: VideoQuality, clips: Tensor) -> None:
    with pytest.raises(ValueError, match="'sharpness', which the reward does not return; it ret"):
        VideoQuality(toy, fps=16, dimensions=["sharpness"]).update(clips)
    with pytest.raises(ValueError, match="prompts is 1 entries for 5 videos"):
        metric.update(clips, ["a cat"])
    with pytest.raises(ValueError, match="'reward' is not finite for video 4"):
        VideoQuality(broken, fps=16, dimensions=["reward"]).update(clips)
    assert int(metric.videos) == 0


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_no_videos_have_no_mean(metric: VideoQuality) -> None:
    with pytest.raises(ValueError, match="no video was scored since the last reset"):
        metric.compute()

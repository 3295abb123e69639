"""Reading in data loader workers, scoring in the main process; pickling."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from aigv_reward import DIMENSIONS, VideoReward
from aigv_reward.views import Views


@pytest.fixture(scope="module")
def files(
    clip: Callable[..., Tensor],
    write: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    shapes = [(12, 40, 56), (3, 24, 24), (8, 64, 32)]
    return [
        str(write(folder / f"{seed}.mp4", clip(*shape, seed=seed)))
        for seed, shape in enumerate(shapes)
    ]


def test_a_pickled_reward_scores_the_same(reward: VideoReward, files: list[str]) -> None:
    prompts = ["a video", None, "the motion"]
    expected = reward.score(files, prompts)
    copied = pickle.loads(pickle.dumps(reward))
    for name, value in copied.score(files, prompts).values.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_data_loader_workers_prepare_and_the_main_process_scores(
    reward: VideoReward, files: list[str], start: str, workers: int
) -> None:
    expected = reward.score(files)  # the decoders are loaded, and used in a thread, before a fork
    loader = DataLoader(
        Prepared(reward, files),  # type: ignore[arg-type]
        batch_size=3,
        num_workers=workers,
        multiprocessing_context=start,
        collate_fn=Views.cat,
    )
    (views,) = list(loader)
    assert len(views) == 3
    for name, value in reward.score_views(views).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-5)


def test_prepared_views_score_as_their_video(
    reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    frames = clip(20)
    views = Views.cat([reward.prepare(frames, clips=2), reward.prepare(frames)])
    values = reward.score_views(views, ["a", "a", None], dimensions=["semantic", "motion"])
    whole = reward.score([frames], ["a"], clips=2)
    assert whole.windows is not None
    torch.testing.assert_close(
        values["semantic"][:2], whole.windows["semantic"][0], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        values["motion"][2:], reward.score([frames]).motion, atol=1e-5, rtol=0
    )
    assert list(values) == ["semantic", "motion"]
    assert list(reward.score_views(views)) == list(DIMENSIONS)
    with pytest.raises(ValueError, match="prompts has 2 entries for 3 videos"):
        reward.score_views(views, ["a", "b"])
    with pytest.raises(ValueError, match="unknown dimension 'x'"):
        reward.score_views(views, dimensions=["x"])  # type: ignore[list-item]


class Prepared:
    """A data set of files whose items are views."""

    def __init__(self, reward: VideoReward, files: list[str]) -> None:
        self.reward = reward
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Views:
        return self.reward.prepare(self.files[index])

"""Cached features are the encoder's own, and never another encoder's or file's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aigv_reward.reward.windows import read_views
from aigv_reward.training.arguments import ModelArguments
from aigv_reward.training.feature_cache import FeatureCache, fill_cache, tower_digest
from aigv_reward.training.run_inputs import share_of
from aigv_reward.training.trainable_model import VIEW_OF, TrainableRewardModel, load_trainable
from aigv_reward.training.video_files import inspect_videos

TOWERS = ("semantic", "technical", "motion")
CPU = torch.device("cpu")


@pytest.fixture
def model(checkpoint: Path) -> TrainableRewardModel:
    return load_trainable(ModelArguments(checkpoint=str(checkpoint), train_towers=[]))[0]


def count(calls: list[int]):
    return lambda: calls.append(1)


@pytest.mark.parametrize("workers", [0, 2])
def test_features_are_what_scoring_computes(
    workers: int, model: TrainableRewardModel, clips: list[Path], tmp_path: Path
) -> None:
    digests, _ = inspect_videos(clips[:3])
    videos = {digest: path for path, digest in digests.items()}
    cache = FeatureCache(tmp_path, model, TOWERS)
    assert fill_cache(cache, model, videos, device=CPU, workers=workers) == {}
    for digest, path in videos.items():
        features = cache.read(digest)
        views = read_views(path, model.config.view_sampling)
        for tower in TOWERS:
            with torch.no_grad():
                expected = getattr(model, tower)(getattr(views, VIEW_OF[tower]))[0]
            torch.testing.assert_close(features[tower], expected, rtol=0, atol=0)
    assert not list(tmp_path.rglob("*.part"))


def test_processes_share_all_videos_however_far_the_first_one_is(
    model: TrainableRewardModel, clips: list[Path], tmp_path: Path
) -> None:
    digests, _ = inspect_videos(clips[:5])
    videos = {digest: path for path, digest in digests.items()}
    cache = FeatureCache(tmp_path, model, TOWERS)
    first = share_of(videos, cache, rank=0, ranks=2)
    fill_cache(cache, model, first, device=CPU)
    second = share_of(videos, cache, rank=1, ranks=2)
    assert first.keys() | second.keys() == videos.keys()
    assert not first.keys() & second.keys()
    assert share_of(videos, cache, rank=0, ranks=2) == {}


def test_each_content_is_computed_once(
    model: TrainableRewardModel, clips: list[Path], tmp_path: Path
) -> None:
    twin = tmp_path / "twin.mp4"
    twin.write_bytes(clips[0].read_bytes())
    digests, _ = inspect_videos([clips[0], clips[1], twin])
    videos = {digest: path for path, digest in digests.items()}
    assert len(videos) == 2
    cache, calls = FeatureCache(tmp_path, model, TOWERS), []
    fill_cache(cache, model, videos, device=CPU, advance=count(calls))
    assert len(calls) == 2
    again = FeatureCache(tmp_path, model, TOWERS)
    fill_cache(again, model, videos, device=CPU, advance=count(calls))
    assert len(calls) == 2 and not again.lacks(digests[twin])


def test_another_encoder_sampling_or_file_finds_nothing(
    model: TrainableRewardModel, clips: list[Path], tmp_path: Path
) -> None:
    digests, _ = inspect_videos(clips[:2])
    digest = digests[clips[0]]
    cache = FeatureCache(tmp_path, model, TOWERS)
    fill_cache(cache, model, {digest: clips[0]}, device=CPU)
    assert not FeatureCache(tmp_path, model, TOWERS).lacks(digest)
    assert cache.lacks(digests[clips[1]])
    before = {tower: tower_digest(model, tower) for tower in TOWERS}
    with torch.no_grad():
        next(model.motion.parameters()).flatten()[0].add_(1e-6)
    after = {tower: tower_digest(model, tower) for tower in TOWERS}
    assert [tower for tower in TOWERS if before[tower] != after[tower]] == ["motion"]
    assert FeatureCache(tmp_path, model, ["motion"]).lacks(digest)
    assert not FeatureCache(tmp_path, model, ["semantic"]).lacks(digest)
    sampling = model.config.view_sampling
    model.config.sampling = replace(sampling, interpolation="nearest").to_dict()
    assert FeatureCache(tmp_path, model, ["semantic"]).lacks(digest)


def test_a_damaged_entry_is_named(
    model: TrainableRewardModel, clips: list[Path], tmp_path: Path
) -> None:
    digests, _ = inspect_videos(clips[:1])
    cache = FeatureCache(tmp_path, model, ["motion"])
    fill_cache(cache, model, {digests[clips[0]]: clips[0]}, device=CPU)
    path = cache.path("motion", digests[clips[0]])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"'.*safetensors' is damaged \(.*\); remove it"):
        cache.read(digests[clips[0]])


def test_videos_that_break_off_inside_are_reported(
    model: TrainableRewardModel, clips: list[Path], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.mp4"
    cache = FeatureCache(tmp_path / "cache", model, ["motion"])
    failures = fill_cache(cache, model, {"aa": missing, "bb": clips[0]}, device=CPU)
    assert list(failures) == [missing] and "No such file" in failures[missing]
    assert cache.lacks("aa") and not cache.lacks("bb")


def test_an_encoder_that_puts_out_nan_is_an_error(
    model: TrainableRewardModel, clips: list[Path], tmp_path: Path
) -> None:
    with torch.no_grad():
        next(model.technical.parameters()).fill_(torch.nan)
    cache = FeatureCache(tmp_path, model, ["technical"])
    with pytest.raises(ValueError, match=r"the technical features of '.*00.mp4' are not finite"):
        fill_cache(cache, model, {"aa": clips[0]}, device=CPU)
    assert cache.lacks("aa")

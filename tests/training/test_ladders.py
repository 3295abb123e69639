"""Ladders: reproducible by number, graded, labelled by dimension, held apart."""

from pathlib import Path

import pytest
import torch

from aigv_reward.distortions import DISTORTIONS
from aigv_reward.training import ladders
from aigv_reward.training.ladders import (
    HELD_OUT,
    RUNGS,
    SEVERITIES,
    LadderInfo,
    harmless,
    make_ladder,
    photographs,
    read_ladder,
    write_ladder,
)
from aigv_reward.video import FrameSampling
from aigv_reward.views import ViewSampling

TINY = ViewSampling(
    key_frames=FrameSampling(2),
    key_size=32,
    fragments=FrameSampling(2, stride=1),
    grid=2,
    patch=16,
    fast=FrameSampling(8, stride=1),
    fast_size=32,
)


@pytest.fixture(scope="module")
def ladder() -> tuple[LadderInfo, dict[str, torch.Tensor]]:
    return make_ladder(3, TINY, severities=SEVERITIES)


def test_a_ladder_follows_from_its_number(ladder):
    info, views = make_ladder(3, TINY, severities=SEVERITIES)
    assert info == ladder[0]
    for name, view in views.items():
        torch.testing.assert_close(view, ladder[1][name], rtol=0, atol=0)
    assert make_ladder(4, TINY)[0] != info


def test_rungs_move_away_from_the_clean_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ladders, "harmless", lambda frames, generator: frames)
    info, views = make_ladder(3, TINY, severities=SEVERITIES)
    parts = [views[name].float() for name in ("key_frames", "fragments", "fast")]
    distances = [
        sum(float((part[rung] - part[0]).abs().mean()) for part in parts) for rung in range(5)
    ]
    assert distances[4] > max(distances[1], 0.1), (info.distortion, distances)


def test_files_round_trip_and_are_not_written_twice(tmp_path: Path):
    path = write_ladder(tmp_path, TINY, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["00000003.safetensors"]
    info, views = read_ladder(path, TINY)
    assert info.number == 3
    assert views.fast.shape == (RUNGS, 8, 3, 32, 32)
    assert views.fragments.shape == (RUNGS, 2, 3, 32, 32)
    before = path.stat().st_mtime_ns
    assert write_ladder(tmp_path, TINY, 3).stat().st_mtime_ns == before


def test_training_sees_a_few_rungs_and_held_out_contents_all(tmp_path: Path):
    info, _ = read_ladder(write_ladder(tmp_path, TINY, 3), TINY)
    assert len(info.severities) == RUNGS == len(set(info.severities))
    assert list(info.severities) == sorted(info.severities)
    held_out, views = read_ladder(write_ladder(tmp_path, TINY, HELD_OUT), TINY)
    assert held_out.severities == SEVERITIES and len(views) == len(SEVERITIES)


def test_harmless_changes_are_small():
    frames = torch.randint(0, 240, (3, 3, 20, 30), dtype=torch.uint8)
    seen = set()
    for seed in range(20):
        changed = harmless(frames, torch.Generator().manual_seed(seed))
        assert changed.dtype == torch.uint8 and changed.shape == (3, 3, 18, 28)
        ratio = changed.float().mean() / frames.float().mean()
        assert ratio.item() == pytest.approx(1, abs=0.06)
        seen.add(bool((changed[0, 0, 0, 0].float() - frames[0, 0, :3, :3].float()).abs().min() > 9))
    assert seen == {True, False}  # mirrored or not


def test_targets_by_hand():
    """Jitter over severities 0..4 beside blur at severity 2.

    technical 4.7 - 0.9 * 2 = 2.9 all along; motion 4.7, 3.8, 2.9, 2.0, 1.1; semantic 4.7;
    overall at severity 4: 0.6 * 1.1 + 0.4 * (2.9 + 1.1 + 4.7) / 3 = 1.82.
    """
    targets = LadderInfo(0, "jitter", "blur", 2, "a red disc").targets()
    few = LadderInfo(0, "jitter", "blur", 2, "a red disc", severities=(0, 2, 3)).targets()
    torch.testing.assert_close(few["motion"], targets["motion"][[0, 2, 3]])
    torch.testing.assert_close(few["overall"], targets["overall"][[0, 2, 3]])
    torch.testing.assert_close(targets["technical"], torch.full((5,), 2.9))
    torch.testing.assert_close(targets["motion"], torch.tensor([4.7, 3.8, 2.9, 2.0, 1.1]))
    torch.testing.assert_close(targets["semantic"], torch.full((5,), 4.7))
    assert targets["overall"][4].item() == pytest.approx(1.82)


@pytest.mark.parametrize("name", sorted(DISTORTIONS))
def test_every_distortion_lowers_its_own_dimension_most(name):
    targets = LadderInfo(0, name, None, 0, "").targets()
    drops = {key: float(value[0] - value[4]) for key, value in targets.items() if key != "overall"}
    assert max(drops, key=lambda key: drops[key]) == DISTORTIONS[name].dimension


def test_held_out_photographs_are_not_trained_on():
    trained, held_out = photographs(False), photographs(True)
    assert all(photo.dtype == torch.uint8 and photo.shape[0] == 3 for photo in trained + held_out)
    shapes = {tuple(photo.shape) for photo in trained}
    for photo in held_out:
        same = [t for t in trained if t.shape == photo.shape]
        assert tuple(photo.shape) not in shapes or not any(torch.equal(photo, t) for t in same)
    assert HELD_OUT > 100_000

"""Harmless edits by hand, and that they are small."""

import pytest
import torch

from aigv_reward.distortions import render_scene
from aigv_reward.evaluation.harmless import HARMLESS


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    return render_scene(4, num_frames=6, height=48, width=64).frames


def test_edits_by_hand() -> None:
    row = torch.tensor([0, 50, 100, 255], dtype=torch.uint8)
    frames = row.expand(2, 3, 1, 4).contiguous()
    expected = {
        "shift": [0, 0, 50, 100],
        "flip": [255, 100, 50, 0],
        "brighter": [0, 51, 102, 255],  # 255 * 1.02 = 260.1 is clipped
        "darker": [0, 49, 98, 250],  # 255 * 0.98 = 249.9
    }
    for name, values in expected.items():
        edited = HARMLESS[name](frames, 16.0)
        assert edited.dtype == torch.uint8 and edited.shape == frames.shape
        assert (edited == torch.tensor(values)).all(), name


def test_reencoding_at_high_quality_changes_little_but_something(clip: torch.Tensor) -> None:
    edited = HARMLESS["reencode"](clip, 16.0)
    assert edited.shape == clip.shape and edited.dtype == torch.uint8
    change = (edited.float() - clip.float()).abs()
    assert 0 < change.mean() < 3


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_edits_repeat_and_leave_their_input_alone(clip: torch.Tensor, name: str) -> None:
    before = clip.clone()
    first, second = (HARMLESS[name](clip, 12.5) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(clip, before)
    assert not torch.equal(first, clip)

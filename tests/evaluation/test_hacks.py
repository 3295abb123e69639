"""Hacks against slow loops and scipy, and that each grows with its strength."""

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from torch import Tensor

from aigv_reward.distortions import render_scene
from aigv_reward.evaluation.hacks import GRID_STEP, HACKS


@pytest.fixture(scope="module")
def clip() -> Tensor:
    return render_scene(4, num_frames=9, height=48, width=64).frames


def pixel(*rgb: int) -> Tensor:
    return torch.tensor(rgb, dtype=torch.uint8).view(1, 3, 1, 1)


def test_exposure_and_darkness_by_hand() -> None:
    assert HACKS["over_exposure"].apply(pixel(10, 100, 200), 1.7).flatten().tolist() == [
        17, 170, 255,
    ]  # fmt: skip
    assert HACKS["dark_frames"].apply(pixel(10, 100, 201), 0.9).flatten().tolist() == [1, 10, 20]


def test_saturation_by_hand() -> None:
    """Grey of (100, 150, 50) is 29.9 + 88.05 + 5.7 = 123.65; twice the distance from it."""
    result = HACKS["saturation"].apply(pixel(100, 150, 50), 2.0).flatten().tolist()
    assert result == [round(2 * c - 123.65) if 2 * c > 123.65 else 0 for c in (100, 150, 50)]
    grey = pixel(80, 80, 80)
    assert torch.equal(HACKS["saturation"].apply(grey, 4.0), grey)


def test_grid_lines_stand_where_they_should() -> None:
    frames = torch.zeros(2, 3, 40, 33, dtype=torch.uint8)
    result = HACKS["grid"].apply(frames, 0.7)
    for row, column in itertools.product(range(40), range(33)):
        on_line = row % GRID_STEP == 0 or column % GRID_STEP == 0
        assert (result[:, :, row, column] == (179 if on_line else 0)).all()  # 0.7 * 255 = 178.5


@pytest.mark.parametrize(("share", "last"), [(0.5, 4), (0.75, 2), (1.0, 0)])
def test_static_holds_the_end(share: float, last: int) -> None:
    frames = torch.arange(9, dtype=torch.uint8).view(9, 1, 1, 1).expand(9, 3, 2, 2)
    shown = HACKS["static"].apply(frames, share)[:, 0, 0, 0].tolist()
    assert shown == [min(t, last) for t in range(9)]


def test_sharpening_is_scipys_unsharp_mask(clip: Tensor) -> None:
    line = np.array([1, 4, 6, 4, 1]) / 16
    kernel = (line[:, None] * line)[None, None]
    picture = clip.numpy().astype(np.float64)
    smooth = convolve(picture, kernel, mode="nearest")
    expected = np.clip(picture + 2.0 * (picture - smooth), 0, 255)
    result = HACKS["sharpening"].apply(clip, 2.0).numpy()
    assert np.abs(result - expected).max() <= 0.51


@pytest.mark.parametrize("name", sorted(HACKS))
def test_hacks_grow_with_strength_and_leave_their_input_alone(clip: Tensor, name: str) -> None:
    before, hack = clip.clone(), HACKS[name]
    changes = []
    for strength in hack.strengths:
        edited = hack.apply(clip, strength)
        assert edited.dtype == torch.uint8 and edited.shape == clip.shape
        changes.append(float((edited.float() - clip.float()).abs().mean()))
    assert torch.equal(clip, before)
    assert len(changes) >= 3 and changes[0] > 0
    assert changes == sorted(changes) and len(set(changes)) == len(changes)

"""What each distortion does to the frames, and that a ladder is one variant at rising strength."""

import itertools

import pytest
import torch
from torch import Generator, Tensor

from aigv_reward.distortions import distort
from aigv_reward.distortions.motion import DROP_SHARE
from aigv_reward.distortions.technical import NOISE_SIGMA


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def changed(clip: Tensor, name: str, severity: int, seed: int) -> Tensor:
    return distort(clip, name, severity, generator=seeded(seed)).float() - clip.float()


def numbered(num_frames: int) -> Tensor:
    """A clip whose frame t has the value t everywhere."""
    values = torch.arange(num_frames, dtype=torch.uint8)
    return values[:, None, None, None].expand(-1, 3, 16, 16).contiguous()


def order(clip: Tensor) -> list[int]:
    return clip[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("name", ["noise", "flicker", "jitter", "warp"])
@pytest.mark.parametrize("seed", range(5))
def test_equal_seeds_give_the_same_pattern_at_every_severity(
    clip: Tensor, name: str, seed: int
) -> None:
    """What severity 1 changes, severity 2 changes alike; other seeds change something else."""
    weak, strong = (changed(clip, name, s, seed).flatten() for s in (1, 2))
    other = changed(clip, name, 2, seed + 100).flatten()
    alike = float(torch.corrcoef(torch.stack((weak, strong)))[0, 1])
    unlike = float(torch.corrcoef(torch.stack((weak, other)))[0, 1])
    assert alike > 0.5
    assert alike > unlike + 0.2


@pytest.mark.parametrize("seed", range(5))
def test_stronger_region_swap_keeps_the_places_of_a_weaker_one(clip: Tensor, seed: int) -> None:
    masks = [changed(clip, "region_swap", s, seed).abs().amax(dim=1) > 0 for s in (1, 2, 3, 4)]
    for small, large in itertools.pairwise(masks):
        kept = (small & large).sum() / small.sum()
        assert kept > 0.9


def test_gaussian_noise_has_the_stated_standard_deviation() -> None:
    grey = torch.full((8, 3, 64, 64), 128, dtype=torch.uint8)
    for severity, sigma in enumerate(NOISE_SIGMA, start=1):
        spreads = [float(changed(grey, "noise", severity, seed).std()) for seed in range(12)]
        assert any(spread == pytest.approx(sigma, rel=0.05) for spread in spreads)
        assert max(spreads) < 3 * sigma + 30


def test_noise_leaves_the_mean_brightness() -> None:
    grey = torch.full((8, 3, 64, 64), 128, dtype=torch.uint8)
    for seed in range(12):
        assert abs(float(changed(grey, "noise", 2, seed).mean())) < 0.6


def test_blur_is_relative_to_the_frame() -> None:
    """A clip twice as large is as blurred as the small one, seen at the same size."""
    edge = torch.zeros(1, 3, 64, 96, dtype=torch.uint8)
    edge[..., 48:] = 255
    large = edge.repeat_interleave(2, -1).repeat_interleave(2, -2)
    for seed in range(6):
        small = distort(edge, "blur", 4, generator=seeded(seed)).float()
        big = distort(large, "blur", 4, generator=seeded(seed)).float()
        shrunk = torch.nn.functional.avg_pool2d(big, 2)
        assert float((shrunk - small).abs().mean()) < 3


@pytest.mark.parametrize("name", ["blur", "resolution", "jitter", "warp", "compression"])
def test_flat_clips_stay_flat(name: str) -> None:
    """Kernels sum to one and nothing but the frame itself is drawn into it."""
    flat = torch.full((4, 3, 64, 96), 200, dtype=torch.uint8)
    for seed in range(8):
        assert changed(flat, name, 4, seed).abs().max() <= 4


def test_banding_leaves_few_levels(clip: Tensor) -> None:
    for seed in range(4):
        counts = [
            len(distort(clip, "banding", s, generator=seeded(seed)).flatten(1).unique(dim=1)[0])
            for s in (1, 4)
        ]
        assert counts[1] < counts[0]


def test_freeze_is_few_long_holds_and_time_jumps_on_after_each() -> None:
    for seed in range(10):
        shares = []
        for severity in (1, 2, 3, 4):
            seen = order(distort(numbered(40), "freeze", severity, generator=seeded(seed)))
            held = [t for t in range(1, 40) if seen[t] == seen[t - 1]]
            starts = [t for t in held if t - 1 not in held]
            assert 1 <= len(starts) <= 3
            assert all(value <= t for t, value in enumerate(seen))
            assert all(seen[t] == t for t in range(40) if t not in held)
            shares.append(len(held))
        assert shares == sorted(set(shares))


def test_frame_drop_is_many_short_gaps() -> None:
    for seed in range(10):
        for severity, share in enumerate(DROP_SHARE, start=1):
            seen = order(distort(numbered(120), "frame_drop", severity, generator=seeded(seed)))
            lost = 120 - len(set(seen))
            assert lost / 120 == pytest.approx(share, abs=0.12)
            assert seen == sorted(seen)


def test_shuffle_is_a_permutation_that_reaches_further_with_severity() -> None:
    for seed in range(10):
        reaches = []
        for severity in (1, 2, 3, 4):
            seen = order(distort(numbered(60), "shuffle", severity, generator=seeded(seed)))
            assert sorted(seen) == list(range(60))
            reaches.append(sum(abs(value - t) for t, value in enumerate(seen)))
        assert reaches == sorted(set(reaches))


def test_low_dynamic_runs_forward_through_a_shorter_stretch() -> None:
    for seed in range(10):
        spans = []
        for severity in (1, 2, 3, 4):
            seen = order(distort(numbered(60), "low_dynamic", severity, generator=seeded(seed)))
            assert seen == sorted(seen)
            spans.append(seen[-1] - seen[0])
        assert spans == sorted(set(spans), reverse=True)
        assert spans[0] == pytest.approx(0.55 * 59, abs=1.5)


def test_jitter_by_whole_pixels_resamples_nothing(clip: Tensor) -> None:
    """Most seeds shift: rows and columns come from the frame, unchanged and reflected."""
    exact = 0
    for seed in range(8):
        shaken = distort(clip, "jitter", 2, generator=seeded(seed))
        inner = shaken[3, :, 20:40, 30:60]
        exact += any(
            torch.equal(inner, clip[3, :, 20 + dy : 40 + dy, 30 + dx : 60 + dx])
            for dy in range(-4, 5)
            for dx in range(-4, 5)
        )
    assert exact >= 4


def test_flicker_changes_whole_frames_alike() -> None:
    grey = torch.full((12, 3, 16, 16), 120, dtype=torch.uint8)
    for seed in range(6):
        lit = distort(grey, "flicker", 3, generator=seeded(seed))
        assert torch.equal(lit, lit[:, :, :1, :1].expand_as(lit))
        assert len(lit[:, 0, 0, 0].unique()) > 1

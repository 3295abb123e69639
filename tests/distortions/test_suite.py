"""What `distort` promises of every distortion."""

import itertools

import pytest
import torch
from torch import Generator, Tensor

from aigv_reward.distortions import DISTORTIONS, Distortion, distort

NAMES = list(DISTORTIONS)
DIMENSIONS = {
    "technical": {"noise", "blur", "compression", "resolution", "banding"},
    "motion": {"jitter", "freeze", "frame_drop", "shuffle", "flicker", "low_dynamic"},
    "semantic": {"region_swap", "warp", "identity_change"},
}
SEEDS = range(6)


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def ladder(clip: Tensor, name: str, seed: int) -> list[Tensor]:
    return [distort(clip, name, s, generator=seeded(seed)) for s in (0, 1, 2, 3, 4)]


def distance(a: Tensor, b: Tensor) -> float:
    return float((a.float() - b.float()).abs().mean())


def test_every_distortion_lowers_the_dimension_it_is_meant_for() -> None:
    found = {
        dimension: {d.name for d in DISTORTIONS.values() if d.dimension == dimension}
        for dimension in DIMENSIONS
    }
    assert found == DIMENSIONS
    assert all(isinstance(d, Distortion) and d.name == key for key, d in DISTORTIONS.items())


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_dtype_are_kept_and_the_input_is_not_written_to(clip: Tensor, name: str) -> None:
    before = clip.clone()
    for degraded in ladder(clip, name, 0):
        assert degraded.shape == clip.shape
        assert degraded.dtype == torch.uint8
    assert torch.equal(clip, before)


@pytest.mark.parametrize("name", NAMES)
def test_severity_0_is_the_clip_and_severity_1_is_not(clip: Tensor, name: str) -> None:
    clean, mild = ladder(clip, name, 1)[:2]
    assert clean is clip
    assert not torch.equal(mild, clip)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "low_dynamic"])
@pytest.mark.parametrize("seed", SEEDS)
def test_distance_to_the_clean_clip_rises_with_severity(clip: Tensor, name: str, seed: int) -> None:
    """Seeds alike draw the same variant, so the ladder of each variant rises by itself."""
    steps = [distance(degraded, clip) for degraded in ladder(clip, name, seed)]
    assert all(low < high for low, high in itertools.pairwise(steps)), steps


@pytest.mark.parametrize("seed", SEEDS)
def test_low_dynamic_moves_less_at_every_severity(clip: Tensor, seed: int) -> None:
    """Motion as the mean over pixels of how far each ranges over the clip."""
    spreads = [
        float((d.float().amax(dim=0) - d.float().amin(dim=0)).mean())
        for d in ladder(clip, "low_dynamic", seed)
    ]
    assert all(low > high for low, high in itertools.pairwise(spreads)), spreads


@pytest.mark.parametrize("name", NAMES)
def test_equal_generators_give_equal_clips_and_others_do_not(clip: Tensor, name: str) -> None:
    first, again = (distort(clip, name, 3, generator=seeded(7)) for _ in range(2))
    assert torch.equal(first, again)
    others = [distort(clip, name, 3, generator=seeded(seed)) for seed in range(8, 14)]
    assert any(not torch.equal(first, other) for other in others)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_every_severity_draws_the_same_amount(clip: Tensor, name: str, seed: int) -> None:
    """Generators seeded alike end alike: no draw depends on the severity."""
    states = []
    for severity in (1, 2, 3, 4):
        generator = seeded(seed)
        distort(clip, name, severity, generator=generator)
        states.append(generator.get_state())
    assert all(torch.equal(states[0], state) for state in states)


@pytest.mark.parametrize("name", ["freeze", "frame_drop", "shuffle", "low_dynamic"])
def test_a_still_clip_stays_as_it_is_when_time_is_rearranged(clip: Tensor, name: str) -> None:
    still = clip[:1].expand(12, -1, -1, -1)
    assert torch.equal(distort(still, name, 4, generator=seeded(0)), still)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("num_frames", "height", "width"), [(1, 64, 48), (2, 47, 33), (3, 33, 90)])
def test_short_clips_and_odd_sides(name: str, num_frames: int, height: int, width: int) -> None:
    clip = torch.randint(256, (num_frames, 3, height, width), generator=seeded(0)).to(torch.uint8)
    for severity in (1, 4):
        for seed in range(4):
            degraded = distort(clip, name, severity, generator=seeded(seed))
            assert degraded.shape == clip.shape


def test_unknown_name(clip: Tensor) -> None:
    names = ", ".join(NAMES)
    with pytest.raises(ValueError, match=f"^unknown distortion 'fog'; choose one of {names}$"):
        distort(clip, "fog", 1, generator=seeded(0))


@pytest.mark.parametrize("severity", [-1, 5])
def test_severity_out_of_range(clip: Tensor, severity: int) -> None:
    message = f"^severity is {severity}; choose 0 \\(none\\), 1, 2, 3 or 4$"
    with pytest.raises(ValueError, match=message):
        distort(clip, "blur", severity, generator=seeded(0))


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        (torch.zeros(4, 3, 32, 32), r"torch.float32 \(4, 3, 32, 32\)"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), r"torch.uint8 \(3, 32, 32\)"),
        (torch.zeros(4, 32, 32, 3, dtype=torch.uint8), r"torch.uint8 \(4, 32, 32, 3\)"),
        (torch.zeros(0, 3, 32, 32, dtype=torch.uint8), r"torch.uint8 \(0, 3, 32, 32\)"),
    ],
)
def test_frames_of_another_kind(frames: Tensor, found: str) -> None:
    message = f"^frames are {found}; pass uint8 \\(T, 3, H, W\\), T >= 1$"
    with pytest.raises(ValueError, match=message):
        distort(frames, "blur", 1, generator=seeded(0))

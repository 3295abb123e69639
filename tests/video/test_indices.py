"""Which frames a view takes: recorded indices, slow loops, properties, errors."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.video import FrameSampling


def slow_clip(length: int, samples: int, stride: int) -> list[int]:
    """The published local clip, one frame at a time."""
    start = max(0, (length - ((samples - 1) * stride + 1)) // 2)
    return [(start + k * stride) % length for k in range(samples)]


def slow_spread(length: int, samples: int) -> list[int]:
    """The published fast clip, one frame at a time."""
    if length < samples:
        return [k if k < length else length - 1 for k in range(samples)]
    return [k * (length - 1) // (samples - 1) for k in range(samples)]


@pytest.mark.parametrize(
    ("length", "recorded"),
    [
        (40, [12, 14, 16, 18, 20, 22, 24, 26]),
        (23, [4, 6, 8, 10, 12, 14, 16, 18]),
        (5, [0, 2, 4, 1, 3, 0, 2, 4]),
    ],
)
def test_local_clip_matches_the_published_implementation(length: int, recorded: list[int]) -> None:
    sampling = FrameSampling(8, stride=2, short="wrap")
    assert sampling.indices(length).tolist() == recorded


@pytest.mark.parametrize("length", range(1, 80))
def test_published_samplings_match_slow_loops(length: int) -> None:
    assert FrameSampling(8, stride=2, short="wrap").indices(length).tolist() == slow_clip(
        length, 8, 2
    )
    assert FrameSampling(32).indices(length).tolist() == slow_spread(length, 32)


def test_spread_is_the_floor_of_linspace() -> None:
    for length in range(32, 500):
        expected = torch.linspace(0, length - 1, 32, dtype=torch.float64)
        assert torch.equal(FrameSampling(32).indices(length), (expected + 1e-9).floor().long())


def test_spread_of_one_sample_is_the_first_frame() -> None:
    assert FrameSampling(1).indices(9).tolist() == [0]


def test_short_video_repeats_the_last_frame_or_wraps() -> None:
    assert FrameSampling(5).indices(3).tolist() == [0, 1, 2, 2, 2]
    assert FrameSampling(5, short="wrap").indices(3).tolist() == [0, 1, 2, 0, 1]
    assert FrameSampling(4, stride=2).indices(5).tolist() == [0, 2, 4, 4]


def test_bursts_start_evenly() -> None:
    """Three bursts of 0, 2: a span of 3 in 20 frames leaves room 17: starts 0, 8, 17."""
    assert FrameSampling(6, bursts=3, stride=2).indices(20).tolist() == [0, 2, 8, 10, 17, 19]


def test_seconds_round_to_the_nearest_frame() -> None:
    """0.1 s at 12 fps: offsets 0, 1.2, 2.4, 3.6 -> 0, 1, 2, 4; room 10 - 5 = 5, start 2."""
    assert FrameSampling(4, seconds=0.1).indices(10, fps=12).tolist() == [2, 3, 4, 6]


def test_seconds_repeat_frames_of_a_slow_video() -> None:
    """0.1 s at 4 fps: offsets 0, 0.4, 0.8, 1.2 -> 0, 0, 1, 1."""
    assert FrameSampling(4, seconds=0.1).indices(2, fps=4).tolist() == [0, 0, 1, 1]


@given(
    length=st.integers(1, 200),
    per_burst=st.integers(1, 8),
    bursts=st.integers(1, 4),
    stride=st.integers(1, 9),
    short=st.sampled_from(["wrap", "repeat"]),
    seed=st.none() | st.integers(0, 99),
)
def test_bursts_stay_inside_and_keep_their_stride(
    length: int, per_burst: int, bursts: int, stride: int, short: str, seed: int | None
) -> None:
    sampling = FrameSampling(per_burst * bursts, bursts=bursts, stride=stride, short=short)  # type: ignore[arg-type]
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    indices = sampling.indices(length, generator=generator)
    assert indices.dtype == torch.long and indices.shape == (per_burst * bursts,)
    assert 0 <= indices.min() and indices.max() < length
    if (per_burst - 1) * stride < length:
        grid = indices.reshape(bursts, per_burst)
        assert (grid.diff(dim=1) == stride).all()
        assert (grid[:, 0].diff() >= 0).all()
        if seed is None and bursts > 1:
            assert grid[0, 0] == 0 and grid[-1, -1] == length - 1


@given(length=st.integers(1, 300), samples=st.integers(2, 40))
def test_spread_ascends_from_first_to_last(length: int, samples: int) -> None:
    indices = FrameSampling(samples).indices(length)
    assert indices[0] == 0 and (indices.diff() >= 0).all()
    if length >= samples:
        assert indices[-1] == length - 1 and (indices.diff() >= 1).all()


def test_random_starts_are_uniform_and_repeatable() -> None:
    """Room 4: starts 0..4, each about 200 times in 1000 draws."""
    sampling = FrameSampling(2, stride=1)
    generator = torch.Generator().manual_seed(0)
    starts = torch.stack([sampling.indices(6, generator=generator)[0] for _ in range(1000)])
    counts = torch.bincount(starts, minlength=5)
    assert counts.shape == (5,) and counts.min() > 150 and counts.max() < 250
    again = torch.Generator().manual_seed(0)
    assert sampling.indices(6, generator=again)[0] == starts[0]


def test_spread_does_not_move_with_a_generator() -> None:
    generator = torch.Generator().manual_seed(1)
    sampling = FrameSampling(8)
    assert torch.equal(sampling.indices(30, generator=generator), sampling.indices(30))


def test_needs_fps_only_where_samples_are_timed() -> None:
    assert FrameSampling(8, seconds=0.5).needs_fps
    assert not FrameSampling(8, stride=2).needs_fps


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_frames": 0}, "num_frames is 0; at least 1 frame"),
        ({"num_frames": 8, "bursts": 3, "stride": 1}, "bursts is 3; .* divide num_frames"),
        ({"num_frames": 8, "bursts": 0, "stride": 1}, "bursts is 0; it must be at least 1"),
        ({"num_frames": 8, "stride": 1, "seconds": 1.0}, "stride=1 and seconds=1.0 exclude"),
        ({"num_frames": 8, "stride": 0}, "stride is 0; it must be at least 1 frame"),
        ({"num_frames": 8, "seconds": 0.0}, "seconds is 0.0; it must be positive"),
        ({"num_frames": 8, "seconds": math.inf}, "seconds is inf; it must be positive"),
        ({"num_frames": 8, "bursts": 2}, "bursts is 2 .* set stride or seconds"),
        ({"num_frames": 8, "short": "mirror"}, "short is 'mirror'; .* wrap, repeat"),
    ],
)
def test_fields_out_of_range(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FrameSampling(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("fps", [None, 0.0, -1.0, math.inf, math.nan])
def test_timed_samples_need_a_frame_rate(fps: float | None) -> None:
    with pytest.raises(ValueError, match=r"sampled every 0.5 s; pass the video's positive frame"):
        FrameSampling(2, seconds=0.5).indices(9, fps=fps)


def test_a_video_without_frames() -> None:
    with pytest.raises(ValueError, match="the video has 0 frames; at least 1"):
        FrameSampling(2).indices(0)

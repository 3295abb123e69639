import dataclasses

import pytest
import torch

from aigv_reward.video.indices import FrameSampling
from aigv_reward.views import (
    FramePlan,
    Views,
    ViewSampling,
    build_views,
    centre_offsets,
    enlarge_to,
    frame_plan,
    normalize,
    resize,
    sample_fragments,
)

SAMPLING = ViewSampling(
    key_frames=FrameSampling(3, stride=2, short="wrap"),
    key_size=10,
    fragments=FrameSampling(4, bursts=2, stride=1),
    grid=3,
    patch=5,
    fast=FrameSampling(6),
    fast_size=8,
)
SAME_SIZE = dataclasses.replace(SAMPLING, fast_size=10)
NEAREST = dataclasses.replace(SAME_SIZE, interpolation="nearest", fragments=None)
SAMPLINGS = [SAMPLING, SAME_SIZE, NEAREST]
PARTS = ("key_frames", "fragments", "fast")


def view_by_view(frames, plan, sampling, dtype=torch.float32):
    """Each view on its own, every frame resized."""

    def finish(view):
        return normalize(view, mean=sampling.mean, std=sampling.std, dtype=dtype)

    def clip(times, side):
        whole = resize(frames, (side, side), interpolation=sampling.interpolation)
        return finish(whole[:, times])

    large = enlarge_to(frames, sampling.grid * sampling.patch)
    offsets = centre_offsets(*large.shape[-2:], grid=sampling.grid, size=sampling.patch)
    return Views(
        clip(plan.key_frames, sampling.key_size),
        finish(sample_fragments(large[:, plan.fragments], offsets, size=sampling.patch)),
        clip(plan.fast, sampling.fast_size),
    )


def assert_equal(views, expected):
    for part in PARTS:
        assert torch.equal(getattr(views, part), getattr(expected, part)), part


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("size", [(30, 41), (15, 15), (9, 31), (3, 2)])
@pytest.mark.parametrize("num_frames", [1, 2, 17])
def test_views_are_what_each_view_is_alone(noise, sampling, dtype, size, num_frames):
    frames = noise(2, num_frames, *size, 3, dtype=dtype).permute(0, 1, 4, 2, 3)
    plan = frame_plan(num_frames, sampling)
    views = build_views(frames, plan, sampling)
    assert views.key_frames.shape == (2, 3, 3, 10, 10)
    assert views.fragments.shape == (2, len(plan.fragments), 3, 15, 15)
    assert views.fast.shape == (2, 6, 3, sampling.fast_size, sampling.fast_size)
    assert_equal(views, view_by_view(frames, plan, sampling))


def test_the_memory_layout_changes_bytes_by_at_most_one_grey_level(noise, relayout):
    frames = noise(2, 17, 3, 30, 41)
    plan = frame_plan(17, SAMPLING)
    views = build_views(relayout(frames), plan, SAMPLING, dtype=torch.float64)
    assert_within_one_grey_level(views, frames, plan, SAMPLING)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("size", [(30, 41), (9, 31)])
def test_the_byte_path_stays_within_one_grey_level_of_the_float_path(noise, sampling, size):
    frames = noise(2, 17, *size, 3).permute(0, 1, 4, 2, 3)
    plan = frame_plan(17, sampling)
    views = build_views(frames, plan, sampling, dtype=torch.float64)
    assert_within_one_grey_level(views, frames, plan, sampling)


def assert_within_one_grey_level(views, frames, plan, sampling):
    floats = build_views(frames.double() / 255, plan, sampling, dtype=torch.float64)
    std = torch.tensor(sampling.std, dtype=torch.float64).view(3, 1, 1)
    for part in PARTS:
        difference = (getattr(views, part) - getattr(floats, part)) * std
        assert difference.abs().max() <= 1 + 1e-9, part


def test_fragments_of_large_bytes_are_exact(noise):
    frames = noise(1, 17, 30, 41, 3).permute(0, 1, 4, 2, 3)
    plan = frame_plan(17, SAMPLING)
    views = build_views(frames, plan, SAMPLING, dtype=torch.float64)
    floats = build_views(frames.double() / 255, plan, SAMPLING, dtype=torch.float64)
    torch.testing.assert_close(views.fragments, floats.fragments, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_decoding_only_the_plan_changes_nothing(noise, sampling, dtype):
    frames = noise(1, 40, 21, 30, 3, dtype=dtype).permute(0, 1, 4, 2, 3)
    plan = frame_plan(40, sampling)
    indices = torch.tensor(plan.union())
    assert len(indices) < 40
    views = build_views(frames[:, indices], plan, sampling, available=indices)
    assert_equal(views, build_views(frames, plan, sampling))


@pytest.mark.parametrize("size", [(21, 30), (7, 12)])
def test_frames_outside_the_plan_are_not_looked_at(noise, size):
    frames = noise(1, 40, 3, *size, dtype=torch.float32)
    plan = frame_plan(40, SAMPLING)
    others = sorted(set(range(40)) - set(plan.union()))
    expected = build_views(frames, plan, SAMPLING)
    frames[:, others] = torch.nan
    assert_equal(build_views(frames, plan, SAMPLING), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_video_has_the_same_views_alone_and_in_any_batch(noise, dtype):
    frames = noise(3, 17, 21, 30, 3, dtype=dtype).permute(0, 1, 4, 2, 3)
    plan = frame_plan(17, SAMPLING)
    together = build_views(frames, plan, SAMPLING)
    alone = Views.cat([build_views(video[None], plan, SAMPLING) for video in frames])
    assert_equal(together, alone)
    permuted = build_views(frames[[2, 0, 1]], plan, SAMPLING)
    assert torch.equal(permuted.fragments, together.fragments[[2, 0, 1]])


def test_views_are_deterministic_and_leave_the_global_generator_alone(noise):
    frames = noise(2, 17, 3, 40, 30)
    plan = frame_plan(17, SAMPLING)
    state = torch.get_rng_state()
    first, second = (build_views(frames, plan, SAMPLING) for _ in range(2))
    assert_equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_generator_draws_patches_for_each_video(noise):
    frames = noise(1, 17, 3, 60, 60).expand(2, -1, -1, -1, -1)
    plan = frame_plan(17, SAMPLING)
    first, again, other = (
        build_views(frames, plan, SAMPLING, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert_equal(first, again)
    assert not torch.equal(first.fragments, other.fragments)
    assert not torch.equal(first.fragments[0], first.fragments[1])
    assert torch.equal(first.fast, other.fast)


def test_the_grid_covers_the_whole_of_a_small_frame():
    """A 6x6 frame, dark but for its last corner: the last patch of the 15x15 grid is bright."""
    frames = torch.zeros(1, 1, 3, 6, 6)
    frames[..., 4:, 4:] = 1.0
    fragments = build_views(frames, frame_plan(1, SAMPLING), SAMPLING).fragments[0, 0, 0]
    assert fragments[-5:, -5:].mean() > fragments[:10, :10].max()


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("size", [(8, 7), (3, 4)])
def test_gradcheck(noise, sampling, size):
    tiny = dataclasses.replace(
        sampling,
        key_size=4,
        fast_size=4 if sampling.fast_size == sampling.key_size else 5,
        grid=2,
        patch=3,
    )
    frames = noise(1, 3, 3, *size, dtype=torch.float64).requires_grad_()
    plan = frame_plan(3, tiny)

    def views(x):
        built = build_views(x, plan, tiny, dtype=torch.float64)
        return built.key_frames, built.fragments, built.fast

    assert torch.autograd.gradcheck(views, (frames,))


def test_gradients_reach_only_the_frames_of_the_plan(noise):
    frames = noise(1, 40, 3, 21, 30, dtype=torch.float64).requires_grad_()
    plan = frame_plan(40, SAMPLING)
    views = build_views(frames, plan, SAMPLING)
    (gradient,) = torch.autograd.grad(sum(getattr(views, p).sum() for p in PARTS), frames)
    reached = gradient.abs().sum(dim=(0, 2, 3, 4)).nonzero().flatten().tolist()
    assert reached == plan.union()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_views_have_the_dtype_asked_for(noise, dtype):
    frames = noise(1, 17, 3, 21, 30)
    views = build_views(frames, frame_plan(17, SAMPLING), SAMPLING, dtype=dtype)
    assert {getattr(views, part).dtype for part in PARTS} == {dtype}


def test_views_move_together():
    views = Views(*(torch.zeros(2, 1, 3, 4, 4) for _ in PARTS)).to("meta", torch.float64)
    assert len(views) == 2
    for part in PARTS:
        assert getattr(views, part).dtype == torch.float64
        assert getattr(views, part).device.type == "meta"


def test_an_indexed_video_is_a_batch_of_one(noise):
    parts = [noise(2, 1, 3, 4, 4, seed=seed) for seed in range(3)]
    views = Views(*parts)
    assert_equal(views[1], Views(*(part[1:] for part in parts)))
    assert_equal(Views.cat([views[0], views[1]]), views)
    for outside in (2, -1):
        with pytest.raises(IndexError, match=f"view {outside} of a batch of 2"):
            views[outside]


def test_joining_nothing_is_refused():
    with pytest.raises(ValueError, match="no views to join"):
        Views.cat([])


def test_a_single_video_without_its_batch_axis_is_refused(noise):
    with pytest.raises(ValueError, match=r"\(17, 3, 8, 8\); expected \(B, T, 3, H, W\)"):
        build_views(noise(17, 3, 8, 8), frame_plan(17, SAMPLING), SAMPLING)


def test_a_plan_for_a_longer_video_is_refused(noise):
    plan = FramePlan(torch.tensor([0, 4]), torch.tensor([1]), torch.tensor([6, 4]))
    with pytest.raises(ValueError, match=r"takes frames \[4\], which are not among the 4 given"):
        build_views(noise(1, 4, 3, 20, 20), plan, SAMPLING)


def test_a_frame_that_was_not_decoded_is_refused(noise):
    plan = FramePlan(torch.tensor([0]), torch.tensor([3]), torch.tensor([9]))
    available = torch.tensor([0, 2, 9])
    with pytest.raises(ValueError, match=r"takes frames \[3\], .* decode plan.union\(\)"):
        build_views(noise(1, 3, 3, 20, 20), plan, SAMPLING, available=available)


def test_available_of_another_length_is_refused(noise):
    with pytest.raises(ValueError, match="available names 2 source frames and frames hold 3"):
        build_views(
            noise(1, 3, 3, 20, 20),
            frame_plan(2, SAMPLING),
            SAMPLING,
            available=torch.tensor([0, 1]),
        )

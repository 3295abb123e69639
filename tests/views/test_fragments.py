from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from aigv_reward.views import centre_offsets, random_offsets, sample_fragments

REFERENCE = Path(__file__).parents[1] / "reference" / "fragments.safetensors"


def splice_slowly(frames: Tensor, offsets: Tensor, size: int, times: list[int]) -> Tensor:
    """The definition: video by video, frame by frame, cell by cell."""
    batch, _, _, height, width = frames.shape
    segments, grid = offsets.shape[1:3]
    out = frames.new_zeros(batch, len(times), 3, grid * size, grid * size)
    for b in range(batch):
        for m, t in enumerate(times):
            for i in range(grid):
                for j in range(grid):
                    segment = m * segments // len(times)
                    dy, dx = offsets[b % len(offsets), segment, i, j].tolist()
                    y, x = height // grid * i + dy, width // grid * j + dx
                    cell = (slice(i * size, (i + 1) * size), slice(j * size, (j + 1) * size))
                    out[b, m, :, *cell] = frames[b, t, :, y : y + size, x : x + size]
    return out


def drawn(frames: Tensor, *, grid: int, size: int, segments: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return random_offsets(
        *frames.shape[-2:],
        grid=grid,
        size=size,
        batch=len(frames),
        segments=segments,
        generator=generator,
    )


def test_the_published_sampling_is_reproduced():
    recorded = load_file(REFERENCE)
    index = torch.arange(8 * 300 * 420 * 3, dtype=torch.float64)
    wave = (torch.sin(index * 0.0137 + 3) + torch.sin(index * 0.00071 * 5)) * 60 + 128
    clip = wave.reshape(8, 300, 420, 3).clamp(0, 255).to(torch.uint8)
    offsets = torch.stack([recorded["gms.offsets_h"], recorded["gms.offsets_w"]], dim=-1)
    offsets = offsets.reshape(1, 1, 7, 7, 2)
    out = sample_fragments(clip.permute(0, 3, 1, 2)[None], offsets, size=32)
    sums = out[0].float().reshape(8, 3, 7, 32, 7, 32).sum(dim=(3, 5)).transpose(0, 1)
    assert torch.equal(sums, recorded["gms.cell_sums"])


@settings(max_examples=60, deadline=None)
@given(
    grid=st.integers(1, 4),
    size=st.integers(1, 5),
    extra=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    batch=st.integers(1, 3),
    segments=st.integers(1, 3),
    per_segment=st.integers(1, 2),
    channels_last=st.booleans(),
    as_bytes=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_it_is_the_definition_for_any_grid(
    grid, size, extra, batch, segments, per_segment, channels_last, as_bytes, seed
):
    shape = (batch, segments * per_segment, 3, grid * size + extra[0], grid * size + extra[1])
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    if channels_last:
        frames = frames.movedim(2, -1).contiguous().movedim(-1, 2)
    frames = frames if as_bytes else frames.float()
    offsets = drawn(frames, grid=grid, size=size, segments=segments, seed=seed)
    expected = splice_slowly(frames, offsets, size, list(range(shape[1])))
    assert torch.equal(sample_fragments(frames, offsets, size=size), expected)


def test_the_memory_layout_does_not_matter(noise, relayout):
    frames = relayout(noise(2, 4, 3, 30, 41))
    offsets = drawn(frames, grid=3, size=8, segments=2)
    expected = splice_slowly(frames, offsets, 8, [0, 1, 2, 3])
    assert torch.equal(sample_fragments(frames, offsets, size=8), expected)
    floats = sample_fragments(frames.double(), offsets, size=8)
    assert torch.equal(floats, expected.double())


def test_a_crop_of_larger_frames_reads_its_own_pixels(noise):
    whole = noise(2, 3, 40, 50, 3).permute(0, 1, 4, 2, 3)
    crop = whole[..., 7:, 11:43]
    offsets = drawn(crop, grid=2, size=8)
    expected = splice_slowly(crop, offsets, 8, [0, 1, 2])
    assert torch.equal(sample_fragments(crop, offsets, size=8), expected)


def test_one_video_repeated_without_memory(noise):
    frames = noise(1, 2, 20, 20, 3).permute(0, 1, 4, 2, 3).expand(3, -1, -1, -1, -1)
    out = sample_fragments(frames, centre_offsets(20, 20, grid=2, size=4), size=4)
    assert torch.equal(out[2], out[0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_times_choose_frames_in_any_order(noise, dtype):
    frames = noise(2, 5, 20, 20, 3, dtype=dtype).permute(0, 1, 4, 2, 3)
    times = [4, 0, 0, 3]
    offsets = drawn(frames, grid=2, size=4, segments=2)
    out = sample_fragments(frames, offsets, size=4, times=torch.tensor(times))
    assert torch.equal(out, splice_slowly(frames, offsets, 4, times))


def test_gradients_reach_exactly_the_sampled_pixels(noise):
    frames = noise(2, 4, 3, 19, 23, dtype=torch.float64).requires_grad_()
    offsets = drawn(frames, grid=3, size=4, segments=2)
    times = [3, 1, 1, 0]
    weights = noise(2, 4, 3, 12, 12, dtype=torch.float64, seed=1)
    out = sample_fragments(frames, offsets, size=4, times=torch.tensor(times))
    (gradient,) = torch.autograd.grad((out * weights).sum(), frames)
    slow = torch.zeros_like(frames).requires_grad_()
    (expected,) = torch.autograd.grad(
        (splice_slowly(slow, offsets, 4, times) * weights).sum(), slow
    )
    assert torch.equal(gradient, expected)
    assert not gradient[:, 2].any()  # frame 2 was not asked for


def test_gradcheck(noise):
    frames = noise(2, 2, 3, 7, 6, dtype=torch.float64).requires_grad_()
    offsets = drawn(frames, grid=2, size=2)
    assert torch.autograd.gradcheck(lambda x: sample_fragments(x, offsets, size=2), (frames,))


def test_centre_offsets_by_hand():
    """Cells are 300//7 = 42 by 420//7 = 60; a patch of 32 leaves 10 and 28, half of it 5 and 14."""
    offsets = centre_offsets(300, 420, grid=7, size=32)
    assert offsets.shape == (1, 1, 7, 7, 2)
    assert offsets.dtype == torch.int64
    assert torch.equal(offsets, torch.tensor([5, 14]).expand(1, 1, 7, 7, 2))


def test_random_offsets_cover_their_range_and_no_more():
    """Cells are 10 by 13, patches 8: y in 0..1, x in 0..4, as `randint(cell - patch)` draws."""
    generator = torch.Generator().manual_seed(0)
    offsets = random_offsets(20, 26, grid=2, size=8, batch=50, segments=4, generator=generator)
    assert offsets.shape == (50, 4, 2, 2, 2)
    assert offsets[..., 0].unique().tolist() == [0, 1]
    assert offsets[..., 1].unique().tolist() == [0, 1, 2, 3, 4]


def test_random_offsets_are_zero_where_a_patch_fills_its_cell():
    generator = torch.Generator().manual_seed(0)
    offsets = random_offsets(16, 16, grid=2, size=8, batch=2, segments=1, generator=generator)
    assert not offsets.any()


def test_random_offsets_come_from_the_generator_alone(noise):
    frames = noise(2, 2, 3, 40, 40)
    state = torch.get_rng_state()
    first, again, other = (drawn(frames, grid=2, size=4, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("size", [(15, 40), (40, 15)])
def test_cells_smaller_than_a_patch_are_refused(size):
    message = r"2x2 grid over \d+x\d+ .* smaller than a patch of 8x8; enlarge_to\(frames, 16\)"
    with pytest.raises(ValueError, match=message):
        centre_offsets(*size, grid=2, size=8)
    generator = torch.Generator()
    with pytest.raises(ValueError, match=message):
        random_offsets(*size, grid=2, size=8, batch=1, segments=1, generator=generator)
    frames = torch.zeros(1, 1, 3, *size)
    with pytest.raises(ValueError, match=message):
        sample_fragments(frames, torch.zeros(1, 1, 2, 2, 2, dtype=torch.int64), size=8)


@pytest.mark.parametrize(("y", "x"), [(-1, 0), (3, 0), (0, 7)])
def test_patches_outside_their_cell_are_refused(y, x):
    """Cells are 10 by 14 and patches 8, so y in 0..2 and x in 0..6 stay inside."""
    offsets = torch.zeros(1, 1, 2, 2, 2, dtype=torch.int64)
    offsets[0, 0, 1, 0] = torch.tensor([y, x])
    with pytest.raises(ValueError, match=r"offsets span .* y in 0..2 and x in 0..6"):
        sample_fragments(torch.zeros(1, 1, 3, 20, 28), offsets, size=8)


def test_a_single_video_without_its_batch_axis_is_refused():
    offsets = torch.zeros(1, 1, 2, 2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"\(4, 3, 20, 20\); expected \(B, T, 3, H, W\)"):
        sample_fragments(torch.zeros(4, 3, 20, 20), offsets, size=8)


@pytest.mark.parametrize("shape", [(1, 2, 2, 2), (1, 1, 2, 3, 2), (1, 1, 2, 2, 3)])
def test_offsets_of_another_shape_are_refused(shape):
    offsets = torch.zeros(shape, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"offsets have shape .* expected \(B, S, G, G, 2\)"):
        sample_fragments(torch.zeros(1, 4, 3, 20, 20), offsets, size=8)


def test_offsets_for_another_batch_are_refused():
    offsets = torch.zeros(2, 1, 2, 2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="offsets are for 2 videos and frames hold 3"):
        sample_fragments(torch.zeros(3, 4, 3, 20, 20), offsets, size=8)


def test_segments_that_do_not_divide_the_frames_are_refused():
    offsets = torch.zeros(1, 3, 2, 2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="4 frames cannot be split into 3 equal segments"):
        sample_fragments(torch.zeros(1, 4, 3, 20, 20), offsets, size=8)

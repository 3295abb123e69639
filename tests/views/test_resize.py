import math

import numpy as np
import pytest
import torch
from PIL import Image

from aigv_reward.views import enlarge_to, enlarged_size, normalize, resize
from aigv_reward.views.resize import _interpolate_bytes_as_floats

SIZES = [((45, 80), (14, 14)), ((31, 17), (224, 30)), ((9, 7), (5, 11)), ((1, 1), (3, 2))]


def triangle_filter(source: int, target: int) -> torch.Tensor:
    """(target, source) weights of antialiased bilinear, row by row, pixel centres at i + 0.5."""
    scale = source / target
    support = max(scale, 1.0)
    weights = torch.zeros(target, source, dtype=torch.float64)
    for i in range(target):
        centre = (i + 0.5) * scale
        for k in range(source):
            weights[i, k] = max(0.0, 1 - abs(k + 0.5 - centre) / support)
    return weights / weights.sum(dim=1, keepdim=True)


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_bilinear_is_a_normalised_triangle_filter_along_each_axis(noise, source, target):
    frames = noise(2, 3, 3, *source, dtype=torch.float64)
    rows, columns = (triangle_filter(s, t) for s, t in zip(source, target, strict=True))
    torch.testing.assert_close(resize(frames, target), rows @ frames @ columns.T)


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_nearest_takes_the_pixel_at_the_floor(noise, source, target):
    frames = noise(2, 3, *source)
    picks = [
        [math.floor(np.float32(i) * (np.float32(s) / np.float32(t))) for i in range(t)]
        for s, t in zip(source, target, strict=True)
    ]
    expected = frames[..., picks[0], :][..., picks[1]]
    assert torch.equal(resize(frames, target, interpolation="nearest"), expected)


@pytest.mark.parametrize(("source", "target"), [*SIZES, ((480, 720), (224, 224))])
def test_nearest_bytes_are_the_same_from_any_memory(noise, relayout, source, target):
    frames = noise(1, 2, 3, *source)
    expected = resize(frames.float(), target, interpolation="nearest")
    assert torch.equal(resize(relayout(frames), target, interpolation="nearest").float(), expected)


@pytest.mark.parametrize(("source", "target"), [*SIZES, ((720, 402), (224, 224))])
def test_bytes_stay_within_one_grey_level_of_floats(noise, relayout, source, target):
    frames = relayout(noise(1, 2, 3, *source))
    floats = resize(frames.double() / 255, target) * 255
    out = resize(frames, target)
    assert out.dtype == torch.uint8
    assert (out - floats).abs().max() <= 1 + 1e-9


def test_bytes_agree_with_pillow(noise):
    frames = noise(60, 90, 3)
    pillow = Image.fromarray(frames.numpy()).resize((32, 20), Image.Resampling.BILINEAR)
    out = resize(frames.permute(2, 0, 1), (20, 32)).permute(1, 2, 0)
    assert (out.int() - torch.from_numpy(np.array(pillow)).int()).abs().max() <= 1


def test_bytes_keep_channels_last_memory(noise):
    frames = noise(4, 40, 60, 3).permute(0, 3, 1, 2)
    assert resize(frames, (12, 12)).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("antialias", [True, False])
def test_bytes_on_devices_without_a_byte_kernel_are_rounded_floats(noise, antialias):
    frames = noise(2, 3, 45, 80)
    floats = torch.nn.functional.interpolate(
        frames.double(), size=(14, 100), mode="bilinear", antialias=antialias
    )
    out = _interpolate_bytes_as_floats(frames, (14, 100), antialias=antialias)
    assert out.dtype == torch.uint8
    assert (out - floats).abs().max() <= 0.5 + 1e-4


def test_bytes_off_the_cpu_stay_bytes():
    frames = torch.empty(1, 2, 3, 45, 80, dtype=torch.uint8, device="meta")
    out = resize(frames, (14, 20))
    assert (out.dtype, out.shape) == (torch.uint8, (1, 2, 3, 14, 20))


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_frames_of_the_wanted_size_are_returned_unchanged(noise, interpolation):
    frames = noise(2, 3, 8, 9)
    assert resize(frames, (8, 9), interpolation=interpolation) is frames


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_frames_are_resized_each_alone(noise, interpolation):
    frames = noise(2, 3, 3, 30, 20, dtype=torch.float32)
    together = resize(frames, (7, 9), interpolation=interpolation)
    alone = resize(frames[1, 2], (7, 9), interpolation=interpolation)
    assert torch.equal(together[1, 2], alone)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("target", [(3, 4), (9, 8)])
def test_resize_gradients(noise, interpolation, target):
    frames = noise(1, 2, 3, 6, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: resize(x, target, interpolation=interpolation), (frames,)
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [((10, 20), (28, 56)), ((20, 10), (56, 28)), ((27, 27), (28, 28)), ((13, 17), (28, 37))],
)
def test_enlarging_keeps_the_aspect_and_reaches_the_minimum_exactly(noise, size, expected):
    assert enlarge_to(noise(2, 3, *size), 28).shape[-2:] == expected


def test_no_rounding_leaves_the_shorter_side_off_the_minimum():
    for shorter in range(1, 224):
        frames = torch.empty(3, shorter, shorter + 1, dtype=torch.uint8, device="meta")
        height, width = enlarge_to(frames, 224).shape[-2:]
        assert height == 224
        assert width >= 224


@pytest.mark.parametrize(
    ("size", "minimum"),
    [((1, 1), 224), ((900, 1), 160), ((1, 668), 224), ((9 * 20, 32 * 20), 224), ((2000, 90), 224)],
)
def test_shapes_that_videos_have_are_enlarged(size, minimum):
    frames = torch.empty(3, *size, dtype=torch.uint8, device="meta")
    assert enlarge_to(frames, minimum).shape[-2:] == enlarged_size(*size, minimum)
    assert min(enlarged_size(*size, minimum)) == minimum


@pytest.mark.parametrize("size", [(1, 65535), (65535, 1), (2, 16000), (1, 669)])
def test_frames_far_from_square_are_refused_before_they_take_memory(size):
    frames = torch.empty(3, *size, dtype=torch.uint8, device="meta")
    rows, columns = (round(side * 224 / min(size)) for side in size)
    message = (
        rf"frames of {size[1]}x{size[0]} pixels would be enlarged to {columns}x{rows}, so that "
        "their shorter side has 224; that is above the limit of 33554432 pixels: crop the longer "
        "side, or pad the shorter one"
    )
    with pytest.raises(ValueError, match=message):
        enlarge_to(frames, 224)


def test_a_long_narrow_frame_that_needs_no_enlarging_is_as_it_is():
    frames = torch.empty(3, 224, 1 << 20, dtype=torch.uint8, device="meta")
    assert enlarge_to(frames, 224) is frames


def test_large_frames_are_not_enlarged(noise):
    frames = noise(2, 3, 28, 30)
    assert enlarge_to(frames, 28) is frames


def test_enlarging_interpolates_between_pixel_centres(noise):
    frames = noise(2, 3, 10, 12, dtype=torch.float64)
    rows, columns = triangle_filter(10, 15), triangle_filter(12, 18)
    torch.testing.assert_close(enlarge_to(frames, 15), rows @ frames @ columns.T)


def test_enlarged_bytes_stay_within_one_grey_level_of_floats(noise, relayout):
    frames = relayout(noise(1, 2, 3, 13, 17))
    floats = enlarge_to(frames.double() / 255, 28) * 255
    assert (enlarge_to(frames, 28) - floats).abs().max() <= 1 + 1e-9


def test_enlarge_gradients(noise):
    frames = noise(2, 3, 4, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: enlarge_to(x, 7), (frames,))


def test_normalising_by_hand():
    """Grey level 138 is (138 - 128) / 20 = 0.5; (138 - 118) / 40 = 0.5; (138 - 138) / 10 = 0."""
    frames = torch.full((1, 2, 3, 4, 5), 138, dtype=torch.uint8)
    expected = torch.tensor([0.5, 0.5, 0.0]).view(3, 1, 1).expand(frames.shape)
    mean, std = (128, 118, 138), (20, 40, 10)
    assert torch.equal(normalize(frames, mean=mean, std=std), expected)
    floats = frames.double() / 255
    out = normalize(floats, mean=mean, std=std, dtype=torch.float64)
    torch.testing.assert_close(out, expected.double(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("source", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_normalised_frames_have_the_dtype_asked_for_and_plain_memory(noise, source, dtype):
    frames = noise(2, 4, 5, 3).permute(0, 3, 1, 2)
    frames = frames if source == torch.uint8 else (frames / 255).to(source)
    out = normalize(frames, mean=(120, 110, 100), std=(50, 60, 70), dtype=dtype)
    assert out.dtype == dtype
    assert out.is_contiguous()


def test_normalising_leaves_its_input_alone(noise):
    frames = noise(2, 3, 4, 5, dtype=torch.float32)
    before = frames.clone()
    normalize(frames, mean=(1, 2, 3), std=(4, 5, 6))
    assert torch.equal(frames, before)


def test_normalize_gradients(noise):
    frames = noise(2, 3, 2, 2, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: normalize(x, mean=(1, 2, 3), std=(4, 5, 6), dtype=torch.float64), (frames,)
    )


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (2, 4, 8, 8), (0, 3, 4, 4), (3, 0, 4)])
def test_frames_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"frames have shape .* permute channels-last frames"):
        resize(torch.zeros(shape), (4, 4))


def test_integer_frames_other_than_bytes_are_refused():
    with pytest.raises(ValueError, match=r"frames are torch.int64; expected uint8 in 0..255"):
        normalize(torch.zeros(3, 4, 4, dtype=torch.int64), mean=(0, 0, 0), std=(1, 1, 1))


def test_an_empty_size_is_refused():
    with pytest.raises(ValueError, match=r"cannot resize to \(4, 0\); .* at least 1"):
        resize(torch.zeros(3, 4, 4), (4, 0))


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match="unknown interpolation 'cubic'; choose bilinear or near"):
        resize(torch.zeros(3, 4, 4), (4, 5), interpolation="cubic")

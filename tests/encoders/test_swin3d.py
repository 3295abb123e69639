import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from aigv_reward.encoders import SwinConfig, VideoSwin, init_encoder_weights
from aigv_reward.encoders.swin3d import PatchEmbed, PatchMerging, SwinBlock, clip_window

TINY = SwinConfig(
    embed_dim=8, depths=(2, 2), num_heads=(2, 4), patch_size=(1, 2, 2), window_size=(2, 3, 3)
)


def tiny_swin() -> VideoSwin:
    torch.manual_seed(0)
    model = VideoSwin(TINY).apply(init_encoder_weights).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def attention_by_loops(block: SwinBlock, x: Tensor) -> Tensor:
    """What a block adds before its MLP, token pair by token pair, from the definition.

    Tokens stay at their own places; a window is the set of places that share one after the cyclic
    shift. Two of its tokens are separated where exactly one of them was wrapped around an axis.
    """
    attention, (depth, height, width) = block.attn, x.shape[:3]
    channels, heads = x.shape[3], attention.num_heads
    full, sizes = block.window_size, (depth, height, width)
    window = [min(s, w) for s, w in zip(sizes, full, strict=True)]
    pairs = zip(sizes, full, block.shift_size, strict=True)
    shift = [0 if s <= w else k for s, w, k in pairs]
    padded = [math.ceil(s / w) * w for s, w in zip(sizes, window, strict=True)]
    normed = F.layer_norm(x, (channels,), block.norm1.weight, block.norm1.bias)
    windows: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for place in itertools.product(*map(range, padded)):
        moved = [(p - s) % n for p, s, n in zip(place, shift, padded, strict=True)]
        inside = [m % w for m, w in zip(moved, window, strict=True)]
        number = (inside[0] * window[1] + inside[1]) * window[2] + inside[2]
        name = tuple(m // w for m, w in zip(moved, window, strict=True))
        windows.setdefault(name, []).append((number, place))

    def in_full_window(number: int) -> tuple[int, int, int]:
        return number // (full[1] * full[2]), number // full[2] % full[1], number % full[2]

    out = torch.zeros_like(x)
    for members in windows.values():
        places = [place for _, place in sorted(members)]
        values = torch.stack(
            [
                normed[p]
                if all(a < s for a, s in zip(p, sizes, strict=True))
                else 0 * normed[0, 0, 0]
                for p in places
            ]
        )
        q, k, v = F.linear(values, attention.qkv.weight, attention.qkv.bias).split(channels, -1)
        mixed = torch.zeros_like(values)
        for head in range(heads):
            part = slice(head * channels // heads, (head + 1) * channels // heads)
            logits = q[:, part] @ k[:, part].T / math.sqrt(channels // heads)
            for i, j in itertools.product(range(len(places)), repeat=2):
                row = 0
                for axis, (a, b) in enumerate(
                    zip(in_full_window(i), in_full_window(j), strict=True)
                ):
                    row = row * (2 * full[axis] - 1) + a - b + full[axis] - 1
                logits[i, j] += attention.relative_position_bias_table[row, head]
                wrapped = [[p < s for p, s in zip(places[t], shift, strict=True)] for t in (i, j)]
                if wrapped[0] != wrapped[1]:
                    logits[i, j] -= 100.0
            mixed[:, part] = logits.softmax(-1) @ v[:, part]
        mixed = F.linear(mixed, attention.proj.weight, attention.proj.bias)
        for token, place in zip(mixed, places, strict=True):
            if all(a < s for a, s in zip(place, sizes, strict=True)):
                out[place] = token
    return out


@pytest.mark.parametrize(
    "size",
    [
        (4, 6, 6),  # divisible
        (5, 7, 4),  # padded along every axis
        (2, 3, 3),  # one window, no shift
        (1, 2, 8),  # clipped along two axes, shifted along the third
        (3, 3, 5),  # shifted along two axes
    ],
)
@pytest.mark.parametrize("shift", [(0, 0, 0), (1, 1, 1)])
def test_window_attention_equals_the_loop(size, shift):
    torch.manual_seed(1)
    block = SwinBlock(6, 2, (2, 3, 3), shift, 12).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.copy_(torch.randn_like(parameter))
        x = torch.randn(2, *size, 6, dtype=torch.float64)
        attended = torch.stack([attention_by_loops(block, video) for video in x])
        expected = x + attended
        expected = expected + block.mlp(block.norm2(expected))
        torch.testing.assert_close(block(x), expected, rtol=1e-10, atol=1e-10)


def test_window_is_clipped_and_the_shift_with_it():
    assert clip_window((4, 56, 7), (8, 7, 7), (4, 3, 3)) == ((4, 7, 7), (0, 3, 0))


def test_patch_merging_order_and_odd_sizes():
    """5 x 3 positions are padded to 6 x 4; the four neighbours join in column-major order."""
    torch.manual_seed(2)
    merging = PatchMerging(3).double()
    x = torch.randn(1, 2, 5, 3, 3, dtype=torch.float64)
    padded = torch.zeros(1, 2, 6, 4, 3, dtype=torch.float64)
    padded[:, :, :5, :3] = x
    actual = merging(x)
    assert actual.shape == (1, 2, 3, 2, 6)
    for t, row, column in itertools.product(range(2), range(3), range(2)):
        y, z = 2 * row, 2 * column
        joined = torch.cat(
            [padded[0, t, y + r, z + c] for r, c in ((0, 0), (1, 0), (0, 1), (1, 1))]
        )
        torch.testing.assert_close(
            actual[0, t, row, column], merging.reduction(merging.norm(joined))
        )


def test_patches_that_do_not_divide_the_input_are_padded_with_zeros():
    embed = PatchEmbed((2, 4, 4), 6)
    x = torch.randn(1, 3, 3, 9, 6)
    padded = torch.zeros(1, 4, 3, 12, 8)
    padded[:, :3, :, :9, :6] = x
    assert embed(x).shape == (1, 2, 3, 2, 6)
    torch.testing.assert_close(embed(x), embed(padded), rtol=0, atol=0)


def test_published_shapes():
    model = VideoSwin(SwinConfig())
    assert model.out_dim == 768
    assert len(model.checkpointed_layers()) == 12
    parameters = sum(p.numel() for p in model.parameters())
    assert 27e6 < parameters < 29e6
    assert not any("index" in key for key in model.state_dict())


def test_a_video_scores_the_same_alone_and_in_a_batch():
    model = tiny_swin().float()
    x = torch.randn(3, 4, 3, 17, 22)
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(video[None]) for video in x])
        torch.testing.assert_close(model(x[[2, 0, 1]]), together[[2, 0, 1]], rtol=0, atol=1e-5)
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)


def test_gradients_match_finite_differences():
    model = tiny_swin()
    x = torch.randn(1, 3, 3, 14, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(model, x, fast_mode=True)
    table = model.layers[0].blocks[1].attn.relative_position_bias_table

    def of_table(values: Tensor) -> Tensor:
        name = "layers.0.blocks.1.attn.relative_position_bias_table"
        return torch.func.functional_call(model, {name: values}, (x.detach(),))

    assert torch.autograd.gradcheck(
        of_table, table.detach().clone().requires_grad_(), fast_mode=True
    )


def test_built_without_storage_and_loaded_it_gives_the_same():
    model = tiny_swin()
    with torch.device("meta"):
        empty = VideoSwin(TINY)
    empty.load_state_dict(model.state_dict(), strict=True, assign=True)
    x = torch.randn(1, 4, 3, 14, 14, dtype=torch.float64)
    torch.testing.assert_close(empty.eval()(x), model(x), rtol=0, atol=0)


def test_bfloat16_stays_close():
    model = tiny_swin().float()
    x = torch.randn(1, 4, 3, 14, 14)
    with torch.no_grad():
        expected = model(x)
        actual = model.bfloat16()(x.bfloat16())
    assert actual.dtype == torch.bfloat16
    torch.testing.assert_close(actual.float(), expected, rtol=0, atol=0.1)


def test_lists_of_different_length_are_an_error():
    with pytest.raises(ValueError, match=r"depths \(2, 2\) and num_heads \(3,\) differ in length"):
        SwinConfig(depths=(2, 2), num_heads=(3,))


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(ValueError, match="stage 1 has 20 channels, not a multiple of its 3 heads"):
        SwinConfig(embed_dim=10, depths=(1, 1), num_heads=(2, 3))

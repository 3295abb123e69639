"""A window of latent frames: the same frames, gradients there alone, and less to keep."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from aigv_reward.integrations.diffusers import decode_latents

# What decode_latents needs to know of packed latents of 5 frames, 4x6 each; the tiny VAE's ratios.
PACKED = {"height": 32, "width": 48, "num_frames": 17}


def latents_of(made: Any, frames: int = 5) -> Tensor:
    """(1, C, T, 4, 6), or as the pipeline has it."""
    name = type(made.pipe.vae).__name__
    config = made.pipe.vae.config
    channels = config.get("z_dim") or config["latent_channels"]
    latents = torch.randn(1, channels, frames, 4, 6, generator=torch.Generator().manual_seed(3))
    if name in ("AutoencoderKLCogVideoX", "AutoencoderKLTemporalDecoder"):
        return latents.transpose(1, 2)
    return latents


def frames_in(made: Any, latent_frames: int) -> list[int]:
    """Video frames of each latent frame."""
    ratio = {"mochi": 6, "animatediff": 1, "svd": 1}.get(made, 4)
    alone = made == "cogvideox" and latent_frames % 2 == 0
    return [ratio if alone else 1, *([ratio] * (latent_frames - 1))]


@pytest.mark.parametrize("frames", [5, 6])
@pytest.mark.parametrize("name", ["wan", "cogvideox"])
def test_windows_are_parts_of_the_video(tiny: Callable[[str], Any], name: str, frames: int) -> None:
    made = tiny(name)
    latents = latents_of(made, frames)
    with torch.no_grad():
        video = decode_latents(made.pipe, latents)
        parts = frames_in(name, frames)
        for start, stop in ((0, 1), (0, 3), (1, 2), (2, 5), (3, 4), (4, frames), (0, frames)):
            part = decode_latents(made.pipe, latents, window=slice(start, stop))
            first, last = sum(parts[:start]), sum(parts[:stop])
            torch.testing.assert_close(part, video[:, first:last], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "wan",
        "cogvideox",
        "ltx",
        "hunyuan_video",
        "hunyuan_video_15",
        "mochi",
        "animatediff",
        "svd",
    ],
)
def test_gradients_stay_within_the_window(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    made.pipe.vae.requires_grad_(False)
    latents = latents_of(made).requires_grad_()
    video = decode_latents(made.pipe, latents)
    part = decode_latents(made.pipe, latents, window=slice(2, 4))
    parts = frames_in(name, 5)
    first, last = sum(parts[:2]), sum(parts[:4])
    torch.testing.assert_close(part, video[:, first:last], rtol=0, atol=1e-5)
    weights = torch.rand(part.shape, generator=torch.Generator().manual_seed(4))
    (gradient,) = torch.autograd.grad((weights * part).sum(), latents)
    (full,) = torch.autograd.grad((weights * video[:, first:last]).sum(), latents)
    if latents.shape[1] == 5:
        gradient, full = gradient.transpose(1, 2), full.transpose(1, 2)
    assert torch.count_nonzero(gradient[:, :, [0, 1, 4]]) == 0
    scale = float(full.abs().max())
    torch.testing.assert_close(gradient[:, :, 2:4], full[:, :, 2:4], rtol=1e-4, atol=1e-5 * scale)


def test_packed_latents_have_windows_of_latent_frames(tiny: Callable[[str], Any]) -> None:
    made = tiny("ltx")
    unpacked = latents_of(made)
    packed = unpacked.flatten(2).transpose(1, 2)
    expected = decode_latents(made.pipe, unpacked, window=slice(1, 2))
    assert torch.equal(expected, decode_latents(made.pipe, packed, **PACKED, window=slice(1, 2)))
    assert expected.shape == (1, 4, 3, 32, 48)


def saved_bytes(function: Callable[[], Tensor]) -> int:
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(kept.values())


@pytest.mark.parametrize(
    ("name", "part"), [("wan", 0.2), ("cogvideox", 0.4), ("animatediff", 0.25)]
)
def test_a_window_keeps_a_part_of_the_graph(
    tiny: Callable[[str], Any], name: str, part: float
) -> None:
    made = tiny(name)
    made.pipe.vae.requires_grad_(False)
    latents = latents_of(made, 6).requires_grad_()
    plain = saved_bytes(lambda: decode_latents(made.pipe, latents, checkpoint=False))
    kept = saved_bytes(
        lambda: decode_latents(made.pipe, latents, checkpoint=False, window=slice(3, 4))
    )
    assert kept < part * plain


@pytest.mark.parametrize("name", ["mochi", "hunyuan_video_15"])
def test_causal_vaes_do_not_decode_what_follows_the_window(
    tiny: Callable[[str], Any], name: str
) -> None:
    made = tiny(name)
    latents = latents_of(made)
    lengths = []
    made.pipe.vae.decoder.register_forward_pre_hook(
        lambda module, args: lengths.append(args[0].shape[2])
    )
    decode_latents(made.pipe, latents, window=slice(0, 2))
    assert lengths == [2]


def test_the_residual_vae_of_wan_22_has_patches_and_windows() -> None:
    """Wan 2.2 5B: residual blocks, 2x2 pixel patches."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=4,
        z_dim=4,
        dim_mult=[1, 2, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0],
        latents_std=[0.5, 1.0, 2.0, 1.5],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )
    pipe = SimpleNamespace(vae=vae, scheduler=SimpleNamespace(config={}))
    latents = torch.randn(1, 4, 4, 2, 3, requires_grad=True)
    frames = decode_latents(pipe, latents)
    mean, std = (
        torch.tensor(v).view(1, 4, 1, 1, 1)
        for v in (vae.config.latents_mean, vae.config.latents_std)
    )
    expected = vae.decode(latents * std + mean).sample.transpose(1, 2) / 2 + 0.5
    assert frames.shape == (1, 13, 3, 32, 48)
    torch.testing.assert_close(frames.clamp(0, 1), expected, rtol=0, atol=1e-5)
    (gradient,) = torch.autograd.grad(frames.square().sum(), latents)
    plain = decode_latents(pipe, latents, checkpoint=False)
    (expected,) = torch.autograd.grad(plain.square().sum(), latents)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)
    window = decode_latents(pipe, latents, window=slice(2, 3))
    torch.testing.assert_close(window, frames[:, 5:9], rtol=0, atol=1e-5)


@pytest.mark.parametrize("window", [slice(2, 2), slice(-1, 3), slice(0, 6), slice(0, 4, 2)])
def test_a_window_that_is_none(tiny: Callable[[str], Any], window: slice) -> None:
    made = tiny("animatediff")
    with pytest.raises(ValueError, match=r"window slice\(.*\) of 5 latent frames; it is slice"):
        decode_latents(made.pipe, latents_of(made), window=window)


def test_an_open_window_reaches_to_the_end(tiny: Callable[[str], Any]) -> None:
    made = tiny("animatediff")
    latents = latents_of(made)
    assert decode_latents(made.pipe, latents, window=slice(3, None)).shape[1] == 2
    assert decode_latents(made.pipe, latents, window=slice(None, 1)).shape[1] == 1

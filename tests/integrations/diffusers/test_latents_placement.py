"""decode_latents with a VAE that tiles, is offloaded, or is compiled."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import accelerate
import pytest
import torch
from diffusers.hooks import apply_group_offloading
from torch import Tensor

from aigv_reward.integrations.diffusers import decode_latents


def latents_of(made: Any, frames: int = 3, height: int = 5, width: int = 7) -> Tensor:
    config = made.pipe.vae.config
    channels = config.get("z_dim") or config["latent_channels"]
    latents = torch.randn(
        1, channels, frames, height, width, generator=torch.Generator().manual_seed(3)
    )
    return latents.transpose(1, 2) if "CogVideoX" in type(made.pipe.vae).__name__ else latents


def scaled(made: Any, latents: Tensor) -> Tensor:
    config = made.pipe.vae.config
    if "z_dim" in config:
        mean, std = (
            torch.tensor(v).view(1, -1, 1, 1, 1) for v in (config.latents_mean, config.latents_std)
        )
        return latents * std + mean
    if type(made.pipe.vae).__name__ == "AutoencoderKLCogVideoX":
        latents = latents.transpose(1, 2)
    return latents / config.scaling_factor


TILES: dict[str, dict[str, float]] = {
    "wan": {
        "tile_sample_min_height": 32,
        "tile_sample_min_width": 32,
        "tile_sample_stride_height": 24,
        "tile_sample_stride_width": 16,
    },
    "cogvideox": {
        "tile_sample_min_height": 32,
        "tile_sample_min_width": 32,
        "tile_overlap_factor_height": 0.25,
        "tile_overlap_factor_width": 0.5,
    },
    "hunyuan_video": {
        "tile_sample_min_height": 32,
        "tile_sample_min_width": 32,
        "tile_sample_stride_height": 24,
        "tile_sample_stride_width": 16,
    },
}


@pytest.mark.parametrize("name", list(TILES))
def test_tiles_are_those_of_the_vae(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    vae = made.pipe.vae
    latents = latents_of(made).requires_grad_()
    untiled = decode_latents(made.pipe, latents)
    vae.enable_tiling(**TILES[name])
    frames = decode_latents(made.pipe, latents)
    plain = vae.decode(scaled(made, latents)).sample.transpose(1, 2) / 2 + 0.5
    torch.testing.assert_close(frames.clamp(0, 1), plain.clamp(0, 1), rtol=0, atol=1e-5)
    assert frames.shape == untiled.shape
    assert not torch.allclose(frames, untiled, atol=1e-3)
    within = (plain > 0) & (plain < 1)  # Wan's own tiles are clamped
    (gradient,) = torch.autograd.grad(frames[within].square().sum(), latents)
    (expected,) = torch.autograd.grad(plain[within].square().sum(), latents)
    scale = float(expected.abs().max())
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("name", ["wan", "cogvideox"])
def test_tiles_have_windows(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    made.pipe.vae.enable_tiling(**TILES[name])
    latents = latents_of(made)
    whole = decode_latents(made.pipe, latents)
    window = decode_latents(made.pipe, latents, window=slice(1, 2))
    torch.testing.assert_close(window, whole[:, 1:5], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["wan", "cogvideox", "mochi", "animatediff"])
def test_model_offload_loads_the_vae(tiny: Callable[[str], Any], name: str) -> None:
    """`enable_model_cpu_offload` hooks each component with `cpu_offload_with_hook`."""
    made = tiny(name)
    latents = latents_of(made).requires_grad_()
    expected = decode_latents(made.pipe, latents)
    vae, _ = accelerate.cpu_offload_with_hook(made.pipe.vae, execution_device="cpu")
    loads = []
    load = vae._hf_hook.pre_forward
    vae._hf_hook.pre_forward = lambda module: loads.append(module) or load(module)
    frames = decode_latents(made.pipe, latents)
    assert loads and all(module is vae for module in loads)
    assert torch.equal(frames, expected)
    loads.clear()
    frames.sum().backward()
    assert loads, "the recomputation must load it too"


@pytest.mark.parametrize("name", ["wan", "mochi", "animatediff"])
def test_sequential_offload_has_gradients(tiny: Callable[[str], Any], name: str) -> None:
    """`enable_sequential_cpu_offload`: weights are on the meta device between calls."""
    made = tiny(name)
    made.pipe.vae.requires_grad_(False)
    latents = latents_of(made).requires_grad_()
    frames = decode_latents(made.pipe, latents)
    (expected,) = torch.autograd.grad(frames.square().sum(), latents)
    accelerate.cpu_offload(made.pipe.vae, execution_device=torch.device("cpu"))
    again = decode_latents(made.pipe, latents)
    torch.testing.assert_close(again, frames, rtol=0, atol=1e-6)
    (gradient,) = torch.autograd.grad(again.square().sum(), latents)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["wan", "mochi"])
def test_group_offload_decodes_but_has_no_gradients(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    latents = latents_of(made)
    expected = decode_latents(made.pipe, latents)
    cpu = torch.device("cpu")
    apply_group_offloading(
        made.pipe.vae, onload_device=cpu, offload_device=cpu, offload_type="leaf_level"
    )
    with torch.no_grad():
        torch.testing.assert_close(decode_latents(made.pipe, latents), expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"is group-offloaded: .* use enable_model_cpu_offload"):
        decode_latents(made.pipe, latents.requires_grad_())


def test_a_compiled_vae_is_known_by_its_module(tiny: Callable[[str], Any]) -> None:
    made = tiny("wan")
    latents = latents_of(made)
    compiled = SimpleNamespace(vae=torch.compile(made.pipe.vae), scheduler=made.pipe.scheduler)
    assert torch.equal(decode_latents(compiled, latents), decode_latents(made.pipe, latents))

"""decode_latents equals each pipeline's own decode, and its gradient the plain graph's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward.integrations.diffusers import decode_latents

CARRIED = ("wan", "wan_unipc", "wan_i2v", "cogvideox", "cogvideox_dpm", "cogvideox_15")
IMAGES = ("animatediff", "animatediff_euler", "text_to_video_sd")
WHOLE = ("ltx", "ltx_timestep", "hunyuan_video", "hunyuan_video_15", "mochi", "svd")
ONE_OF_EACH = (
    "wan",
    "cogvideox",
    "ltx",
    "hunyuan_video",
    "hunyuan_video_15",
    "mochi",
    "animatediff",
    "svd",
)


def generators(made: Any) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(2 if made.takes_prompt else 1)]


def run(made: Any, generator: list[torch.Generator], output_type: str) -> Tensor:
    text = {"prompt": ["a cat", "dog"]} if made.takes_prompt else {}
    return made.pipe(**text, generator=generator, output_type=output_type, **made.kwargs).frames


def size(made: Any) -> dict[str, int]:
    return {key: made.kwargs[key] for key in ("height", "width", "num_frames")}


def random_latents(made: Any, latent_frames: int, *, height: int = 4, width: int = 6) -> Tensor:
    """(1, C, T, h, w) or as the pipeline has it, of small height and width."""
    config = made.pipe.vae.config
    channels = config.get("z_dim") or config["latent_channels"]
    generator = torch.Generator().manual_seed(3)
    if made.pipe.vae.__class__.__name__ in ("AutoencoderKLLTXVideo", "AutoencoderKLLTX2Video"):
        return torch.randn(1, latent_frames * height * width, channels, generator=generator)
    latents = torch.randn(1, channels, latent_frames, height, width, generator=generator)
    swapped = ("AutoencoderKLCogVideoX", "AutoencoderKLTemporalDecoder")
    return latents.transpose(1, 2) if made.pipe.vae.__class__.__name__ in swapped else latents


def sizes_of(made: Any, latent_frames: int, *, height: int = 4, width: int = 6) -> dict[str, int]:
    vae = made.pipe.vae
    if vae.__class__.__name__ != "AutoencoderKLLTXVideo":
        return {}
    return {
        "height": height * vae.spatial_compression_ratio,
        "width": width * vae.spatial_compression_ratio,
        "num_frames": (latent_frames - 1) * vae.temporal_compression_ratio + 1,
    }


def weighted(frames: Tensor) -> Tensor:
    """A scalar that every pixel enters with another weight."""
    weights = torch.rand(frames.shape, generator=torch.Generator().manual_seed(4))
    return (weights * frames).sum()


def state_of(module: torch.nn.Module) -> list[str]:
    """Every attribute of every module that is no parameter, buffer or child."""
    weights = ("_parameters", "_buffers", "_modules")
    return [
        f"{name} { ({k: v for k, v in vars(part).items() if k not in weights}) }"
        for name, part in module.named_modules()
    ]


@pytest.mark.parametrize("name", CARRIED + IMAGES + WHOLE)
def test_clamped_it_is_what_the_pipeline_returns(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    expected = run(made, generators(made), "pt")
    generator = generators(made)
    latents = run(made, generator, "latent")
    noise = {
        key: made.kwargs[key]
        for key in ("decode_timestep", "decode_noise_scale")
        if key in made.kwargs
    }
    with torch.no_grad():
        frames = decode_latents(made.pipe, latents, **size(made), **noise, generator=generator)
    assert frames.dtype == torch.float32
    assert frames.shape == (expected.shape[0], made.kwargs["num_frames"], *expected.shape[2:])
    torch.testing.assert_close(frames.clamp(0, 1), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_layout_is_the_one_that_the_scheduler_sees(
    tiny: Callable[[str], Any], name: str
) -> None:
    made = tiny(name)
    seen = []
    step = made.pipe.scheduler.step
    made.pipe.scheduler.step = lambda *args, **kwargs: (
        seen.append(step(*args, **kwargs)) or seen[-1]
    )
    text = {"prompt": "a cat"} if made.takes_prompt else {}
    expected = made.pipe(**text, generator=generators(made)[0], output_type="pt", **made.kwargs)
    frames = decode_latents(made.pipe, seen[-1][0], **size(made))
    torch.testing.assert_close(frames.clamp(0, 1), expected.frames, rtol=0, atol=1e-5)


def test_text_to_video_sd_flattens_frames_at_its_scheduler(tiny: Callable[[str], Any]) -> None:
    made = tiny("text_to_video_sd")
    latents = torch.randn(2, 4, 6, 8, 12, generator=torch.Generator().manual_seed(3))
    flat = latents.transpose(1, 2).flatten(0, 1)
    assert torch.equal(
        decode_latents(made.pipe, flat, num_frames=6), decode_latents(made.pipe, latents)
    )


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_gradients_are_those_of_the_plain_graph(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    latents = random_latents(made, 5).requires_grad_()
    sizes = sizes_of(made, 5)
    before = state_of(made.pipe.vae)
    frames = decode_latents(made.pipe, latents, **sizes)
    (gradient,) = torch.autograd.grad(weighted(frames), latents)
    assert before == state_of(made.pipe.vae)
    plain = decode_latents(made.pipe, latents, **sizes, checkpoint=False)
    assert torch.equal(frames, plain)
    (expected,) = torch.autograd.grad(weighted(plain), latents)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize("name", ["cogvideox", "hunyuan_video", "hunyuan_video_15", "mochi"])
def test_gradients_are_those_of_vae_decode(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    latents = random_latents(made, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(weighted(decode_latents(made.pipe, latents)), latents)
    vae = made.pipe.vae
    z = latents.transpose(1, 2) if name == "cogvideox" else latents
    if name == "mochi":
        mean, std = (
            torch.tensor(v).view(1, 12, 1, 1, 1)
            for v in (vae.config.latents_mean, vae.config.latents_std)
        )
        z = z * std / vae.config.scaling_factor + mean
    else:
        z = z / vae.config.scaling_factor
    plain = vae.decode(z).sample.transpose(1, 2) / 2 + 0.5
    (expected,) = torch.autograd.grad(weighted(plain), latents)
    tolerance = 1e-5 * float(expected.abs().max())
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=tolerance)


def test_wan_keeps_the_gradient_that_its_vae_clamps(tiny: Callable[[str], Any]) -> None:
    made = tiny("wan")
    vae = made.pipe.vae
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(4)
    latents = random_latents(made, 3).requires_grad_()
    frames = decode_latents(made.pipe, latents)
    outside = (frames < -0.01) | (frames > 1.01)
    assert outside.float().mean() > 0.2
    (gradient,) = torch.autograd.grad(frames[outside].sum(), latents)
    assert gradient.abs().min() > 0
    mean, std = (
        torch.tensor(v).view(1, 16, 1, 1, 1)
        for v in (vae.config.latents_mean, vae.config.latents_std)
    )
    clamped = vae.decode(latents * std + mean).sample.transpose(1, 2) / 2 + 0.5
    torch.testing.assert_close(frames.clamp(0, 1), clamped, rtol=0, atol=1e-5)
    (killed,) = torch.autograd.grad(clamped[outside].sum(), latents)
    assert torch.count_nonzero(killed) == 0


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("name", ["wan", "cogvideox", "animatediff"])
def test_the_chunk_does_not_tell(tiny: Callable[[str], Any], name: str, chunk: int) -> None:
    made = tiny(name)
    latents = random_latents(made, 6).requires_grad_()
    frames = decode_latents(made.pipe, latents, chunk=chunk)
    (gradient,) = torch.autograd.grad(weighted(frames), latents)
    plain = decode_latents(made.pipe, latents, checkpoint=False)
    (expected,) = torch.autograd.grad(weighted(plain), latents)
    torch.testing.assert_close(frames, plain, rtol=0, atol=1e-6)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6)


def test_the_chunk_of_stable_video_diffusion_is_its_decode_chunk_size(
    tiny: Callable[[str], Any],
) -> None:
    made = tiny("svd")
    arguments = {"generator": torch.Generator().manual_seed(0), "decode_chunk_size": 2}
    expected = made.pipe(**arguments, output_type="pt", **made.kwargs).frames
    arguments["generator"].manual_seed(0)
    latents = made.pipe(**arguments, output_type="latent", **made.kwargs).frames
    frames = decode_latents(made.pipe, latents, chunk=2)
    torch.testing.assert_close(frames.clamp(0, 1), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(frames, decode_latents(made.pipe, latents), atol=1e-3)


def saved_bytes(function: Callable[[], Tensor]) -> tuple[int, Tensor]:
    """Bytes of all tensors that the graph of a result keeps, views counted once."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function()
    return sum(kept.values()), result


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_checkpointed_graph_keeps_less(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    made.pipe.vae.requires_grad_(False)
    latents = random_latents(made, 6).requires_grad_()
    sizes = sizes_of(made, 6)
    plain, _ = saved_bytes(lambda: decode_latents(made.pipe, latents, **sizes, checkpoint=False))
    kept, _ = saved_bytes(lambda: decode_latents(made.pipe, latents, **sizes))
    assert kept < plain / 8


def test_videos_are_decoded_one_by_one(tiny: Callable[[str], Any]) -> None:
    made = tiny("hunyuan_video_15")
    made.pipe.vae.disable_slicing()  # where the VAE itself fails at two videos
    latents = torch.cat([random_latents(made, 2), 2 * random_latents(made, 2)])
    both = decode_latents(made.pipe, latents)
    each = [decode_latents(made.pipe, one) for one in latents.split(1)]
    assert torch.equal(both, torch.cat(each))


@pytest.mark.parametrize("name", ["wan", "cogvideox", "mochi", "animatediff"])
def test_bfloat16_vaes_give_float32(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    latents = random_latents(made, 3).requires_grad_()
    expected = decode_latents(made.pipe, latents, checkpoint=False)
    made.pipe.vae.to(torch.bfloat16)
    frames = decode_latents(made.pipe, latents)
    assert frames.dtype == torch.float32
    assert (frames - expected).abs().mean() < 0.1 < expected.std()
    (gradient,) = torch.autograd.grad(weighted(frames), latents)
    assert gradient.dtype == torch.float32 and gradient.isfinite().all()


def test_weights_and_modes_of_the_vae_are_the_callers(tiny: Callable[[str], Any]) -> None:
    made = tiny("wan")
    vae = made.pipe.vae.train()
    latents = random_latents(made, 2)
    decode_latents(made.pipe, latents).sum().backward()
    assert vae.training and vae.decoder.conv_in.weight.grad is not None
    vae.zero_grad()
    vae.requires_grad_(False)
    frames = decode_latents(made.pipe, latents.requires_grad_())
    frames.sum().backward()
    assert latents.grad is not None
    assert vae.decoder.conv_in.weight.grad is None and not vae.decoder.conv_in.weight.requires_grad
    with torch.no_grad():
        assert not decode_latents(made.pipe, latents).requires_grad


@pytest.mark.parametrize("name", ["wan", "mochi"])
def test_an_exception_leaves_the_vae_as_it_was(tiny: Callable[[str], Any], name: str) -> None:
    made = tiny(name)
    vae = made.pipe.vae
    last = vae.decoder.up_blocks[-1].resnets[-1]
    latents = random_latents(made, 3).requires_grad_()
    before = state_of(vae)

    def fail(*args: Any) -> None:
        raise RuntimeError("out of memory")

    hook = last.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        decode_latents(made.pipe, latents)
    hook.remove()
    assert before == state_of(vae)
    decode_latents(made.pipe, latents).sum().backward()

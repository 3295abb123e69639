"""VAE families whose pipelines are too large to run here, registered VAEs, and every error."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import (
    AllegroPipeline,
    AutoencoderKLAllegro,
    AutoencoderKLCosmos,
    AutoencoderKLLTX2Video,
    AutoencoderKLWan,
    AutoencoderTiny,
    LTX2Pipeline,
    SkyReelsV2Pipeline,
    SkyReelsV2Transformer3DModel,
    StableVideoDiffusionPipeline,
)
from torch import Tensor, nn

from aigv_reward.integrations.diffusers import decode_latents, register_latents


def pipeline(vae: nn.Module, **more: Any) -> Any:
    return SimpleNamespace(vae=vae.eval(), scheduler=SimpleNamespace(config={}), **more)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def pixels(decoded: Tensor) -> Tensor:
    """(B, C, T, H, W) in [-1, 1] as `postprocess_video` returns it."""
    return (decoded.transpose(1, 2) * 0.5 + 0.5).clamp(0, 1)


def assert_decodes(
    pipe: Any, latents: Tensor, plain: Callable[[Tensor], Tensor], **sizes: int
) -> None:
    """Frames equal the (B, C, T, H, W) of the pipeline's own lines, `plain`; so do gradients."""
    latents.requires_grad_()
    frames = decode_latents(pipe, latents, **sizes)
    expected = plain(latents)
    torch.testing.assert_close(frames.clamp(0, 1), pixels(expected), rtol=0, atol=1e-5)
    weights = torch.rand(frames.shape, generator=torch.Generator().manual_seed(4))
    (gradient,) = torch.autograd.grad((weights * frames).sum(), latents)
    (wanted,) = torch.autograd.grad((weights * expected.transpose(1, 2) / 2).sum(), latents)
    scale = float(wanted.abs().max())
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5 * scale)


def wan_vae() -> AutoencoderKLWan:
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    vae.decoder.conv_out.weight.data.mul_(0.5)  # within what the VAE itself clamps
    return vae


def ltx2_vae(**more: Any) -> AutoencoderKLLTX2Video:
    torch.manual_seed(0)
    vae = AutoencoderKLLTX2Video(
        latent_channels=8,
        block_out_channels=(8, 16, 32, 64),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        patch_size=2,
        **more,
    )
    vae.latents_mean.copy_(torch.linspace(-1, 1, 8))
    vae.latents_std.copy_(torch.linspace(0.5, 2, 8))
    return vae


@pytest.mark.parametrize("timestep_conditioning", [False, True])
def test_ltx2(timestep_conditioning: bool) -> None:
    vae = ltx2_vae(timestep_conditioning=timestep_conditioning, scaling_factor=0.8)
    ratio, stride = vae.spatial_compression_ratio, vae.temporal_compression_ratio
    sizes = {"height": 2 * ratio, "width": 3 * ratio, "num_frames": 2 * stride + 1}
    pipe = pipeline(vae, transformer_spatial_patch_size=1, transformer_temporal_patch_size=1)

    def plain(latents: Tensor) -> Tensor:
        z = LTX2Pipeline._unpack_latents(latents, 3, 2, 3, 1, 1)
        z = LTX2Pipeline._denormalize_latents(z, vae.latents_mean, vae.latents_std, 0.8)
        return vae.decode(z, torch.zeros(1) if timestep_conditioning else None).sample

    assert_decodes(pipe, normal(1, 18, 8), plain, **sizes)


def test_ltx2_adds_its_noise_before_the_statistics() -> None:
    vae = ltx2_vae(timestep_conditioning=True)
    pipe = pipeline(vae, transformer_spatial_patch_size=1, transformer_temporal_patch_size=1)
    latents = normal(1, 8, 2, 2, 3)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(5))
    z = LTX2Pipeline._denormalize_latents(
        0.7 * latents + 0.3 * noise, vae.latents_mean, vae.latents_std, 1.0
    )
    frames = decode_latents(
        pipe,
        latents,
        decode_timestep=0.1,
        decode_noise_scale=0.3,
        generator=torch.Generator().manual_seed(5),
    )
    expected = vae.decode(z, torch.tensor([0.1])).sample
    torch.testing.assert_close(frames.clamp(0, 1), pixels(expected), rtol=0, atol=1e-5)


def test_ltx_patches_are_unpacked_as_the_pipeline_packs_them() -> None:
    vae = ltx2_vae()
    pipe = pipeline(vae, transformer_spatial_patch_size=2, transformer_temporal_patch_size=1)
    ratio, stride = vae.spatial_compression_ratio, vae.temporal_compression_ratio
    latents = normal(1, 8, 2, 2, 4)
    packed = LTX2Pipeline._pack_latents(latents, 2, 1)
    frames = decode_latents(pipe, packed, height=2 * ratio, width=4 * ratio, num_frames=stride + 1)
    assert torch.equal(frames, decode_latents(pipe, latents))


def test_sana_video_uses_ltx2s_vae_unpacked() -> None:
    vae = ltx2_vae()
    view = (1, 8, 1, 1, 1)

    def plain(latents: Tensor) -> Tensor:
        mean, std = vae.latents_mean.view(view), 1.0 / vae.latents_std.view(view)
        return vae.decode(latents / std + mean, return_dict=False)[0]

    assert_decodes(pipeline(vae), normal(1, 8, 2, 2, 3), plain)


@pytest.mark.parametrize("sigma_data", [None, 0.5])
def test_cosmos_2_and_sana_video_use_wans_vae(sigma_data: float | None) -> None:
    vae = wan_vae()
    pipe = pipeline(vae)
    if sigma_data is not None:
        pipe.scheduler.config["sigma_data"] = sigma_data

    def plain(latents: Tensor) -> Tensor:
        mean = torch.tensor(vae.config.latents_mean).view(1, 16, 1, 1, 1)
        std = torch.tensor(vae.config.latents_std).view(1, 16, 1, 1, 1)
        return vae.decode(latents * std / (sigma_data or 1.0) + mean, return_dict=False)[0]

    assert_decodes(pipe, normal(2, 16, 3, 2, 3), plain)


@pytest.mark.parametrize("statistics", [True, False])
def test_cosmos_statistics_differ_from_latent_frame_to_latent_frame(statistics: bool) -> None:
    torch.manual_seed(0)
    given = {"latents_mean": normal(4 * 5).tolist(), "latents_std": normal(4 * 5).exp().tolist()}
    vae = AutoencoderKLCosmos(
        latent_channels=4,
        encoder_block_out_channels=(8, 8, 8, 8),
        decode_block_out_channels=(8, 8, 8, 8),
        attention_resolutions=(8,),
        resolution=64,
        num_layers=1,
        patch_size=4,
        spatial_compression_ratio=8,
        temporal_compression_ratio=4,
        **(given if statistics else {"latents_mean": None, "latents_std": None}),
    )
    pipe = pipeline(vae)
    pipe.scheduler.config["sigma_data"] = 0.5

    def plain(latents: Tensor) -> Tensor:
        if vae.config.latents_mean is not None:
            mean = torch.tensor(vae.config.latents_mean).view(1, 4, -1, 1, 1)[:, :, :3]
            std = torch.tensor(vae.config.latents_std).view(1, 4, -1, 1, 1)[:, :, :3]
            latents = latents * std / 0.5 + mean
        else:
            latents = latents / 0.5
        return vae.decode(latents, return_dict=False)[0]

    assert_decodes(pipe, normal(1, 4, 3, 2, 3), plain)


def test_allegro() -> None:
    torch.manual_seed(0)
    vae = AutoencoderKLAllegro(
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        sample_size=16,
    )
    vae.kernel, vae.stride = (8, 16, 16), (4, 8, 8)
    vae.tile_overlap_t, vae.tile_overlap_h, vae.tile_overlap_w = 4, 8, 8
    vae.enable_tiling()
    pipe = pipeline(vae)

    def plain(latents: Tensor) -> Tensor:
        return AllegroPipeline.decode_latents(pipe, latents)

    latents = normal(1, 4, 3, 3, 4)
    assert_decodes(pipe, latents, plain)
    window = decode_latents(pipe, latents, window=slice(1, 2))
    whole = decode_latents(pipe, latents)
    assert whole.shape == (1, 12, 3, 24, 32)
    torch.testing.assert_close(window, whole[:, 4:8], rtol=0, atol=1e-6)


def test_skyreels(tiny_pipelines: Any) -> None:
    torch.manual_seed(0)
    pipe = SkyReelsV2Pipeline(
        **tiny_pipelines.wan_parts(),
        transformer=SkyReelsV2Transformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            text_dim=tiny_pipelines.WIDTH_OF_TEXT,
            freq_dim=16,
            ffn_dim=16,
            num_layers=1,
            rope_max_seq_len=32,
        ),
        scheduler=tiny_pipelines.wan_unipc().pipe.scheduler,
    )
    pipe.text_encoder.eval()
    pipe.set_progress_bar_config(disable=True)
    arguments = tiny_pipelines.SMALL_WAN | {"prompt": "a cat", "num_inference_steps": 2}
    expected = pipe(
        **arguments, generator=torch.Generator().manual_seed(0), output_type="pt"
    ).frames
    latents = pipe(
        **arguments, generator=torch.Generator().manual_seed(0), output_type="latent"
    ).frames
    frames = decode_latents(pipe, latents)
    torch.testing.assert_close(frames.clamp(0, 1), expected, rtol=0, atol=1e-5)


def test_stable_video_diffusion_by_its_own_method(tiny: Callable[[str], Any]) -> None:
    made = tiny("svd")
    latents = normal(2, 4, 4, 4, 6)
    expected = StableVideoDiffusionPipeline.decode_latents(made.pipe, latents[:1], 4)
    frames = decode_latents(made.pipe, latents)
    torch.testing.assert_close(frames[:1].clamp(0, 1), pixels(expected), rtol=0, atol=1e-5)


class Doubled(nn.Module):
    """An image VAE, of no library, that repeats each latent pixel four times."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def decode(self, z: Tensor) -> Tensor:
        if z.ndim == 4:
            z = z[:, :, None]
        z = z * self.weight.view(3, 1, 1, 1)
        z = z.repeat_interleave(2, -1).repeat_interleave(2, -2)
        return z.squeeze(2)


class DoubledVideo(Doubled):
    pass


def test_a_registered_vae_decodes() -> None:
    register_latents(
        Doubled, layout="btchw", mean=[0.1, 0.2, 0.3], std=lambda vae: 0.5, per_frame=True
    )
    latents = normal(2, 5, 3, 4, 6).requires_grad_()
    frames = decode_latents(pipeline(Doubled()), latents)
    z = latents * 0.5 + torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    expected = z.repeat_interleave(2, -1).repeat_interleave(2, -2) / 2 + 0.5
    torch.testing.assert_close(frames, expected)
    frames.sum().backward()
    torch.testing.assert_close(latents.grad, torch.full_like(latents, 0.5 * 4 / 2))


def test_a_subclass_is_known_and_may_be_registered_anew() -> None:
    register_latents(Doubled, per_frame=True)
    latents = normal(1, 3, 2, 4, 6)
    plain = decode_latents(pipeline(DoubledVideo()), latents)
    torch.testing.assert_close(
        plain, (latents.transpose(1, 2) / 2 + 0.5).repeat_interleave(2, -1).repeat_interleave(2, -2)
    )
    register_latents(DoubledVideo, std=2.0)
    doubled = decode_latents(pipeline(DoubledVideo()), latents, window=slice(1, 2))
    torch.testing.assert_close(doubled, 2 * plain[:, 1:] - 0.5)


def test_an_unknown_vae() -> None:
    pipe = pipeline(
        AutoencoderTiny(
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
        )
    )
    with pytest.raises(
        ValueError,
        match=r"no latent format is known for AutoencoderTiny; .* "
        r"register_latents\(AutoencoderTiny, mean=\.\.\., std=\.\.\.\).* "
        r"Known: AutoencoderKL, .*AutoencoderKLWan",
    ):
        decode_latents(pipe, normal(1, 4, 2, 4, 4))


def test_a_namesake_of_a_known_vae_is_unknown() -> None:
    namesake = type("AutoencoderKLWan", (Doubled,), {})
    register_latents(Doubled, per_frame=True)
    decode_latents(pipeline(namesake()), normal(1, 3, 2, 4, 4))
    stranger = type("AutoencoderKLWan", (nn.Linear,), {})
    with pytest.raises(ValueError, match="no latent format is known for AutoencoderKLWan"):
        decode_latents(pipeline(stranger(1, 1)), normal(1, 3, 2, 4, 4))


def test_a_layout_that_is_none() -> None:
    with pytest.raises(ValueError, match="layout 'bchwt' of latents; it is 'bcthw' or 'btchw'"):
        register_latents(Doubled, layout="bchwt")  # type: ignore[arg-type]


def test_statistics_of_another_number_of_channels() -> None:
    register_latents(DoubledVideo, mean=[0.0, 1.0])
    with pytest.raises(
        ValueError, match="latents of 3 channels, but the statistics of DoubledVideo hold 2 numbers"
    ):
        decode_latents(pipeline(DoubledVideo()), normal(1, 3, 2, 4, 4))


def test_packed_latents_need_sizes(tiny: Callable[[str], Any]) -> None:
    made = tiny("ltx")
    packed = normal(1, 96, 8)
    for missing in ("height", "width", "num_frames"):
        sizes = {"height": 32, "width": 64, "num_frames": 9} | {missing: None}
        with pytest.raises(ValueError, match="packed latents do not tell their shape: pass height"):
            decode_latents(made.pipe, packed, **sizes)
    with pytest.raises(ValueError, match="96 packed tokens, but 9 frames of 32x32 pixels are 48"):
        decode_latents(made.pipe, packed, height=32, width=32, num_frames=9)


def test_cogvideox_15_needs_the_number_of_frames(tiny: Callable[[str], Any]) -> None:
    made = tiny("cogvideox_15")
    latents = normal(1, 4, 4, 4, 6)
    with pytest.raises(ValueError, match=r"CogVideoX 1\.5 pads its latents .* pass num_frames"):
        decode_latents(made.pipe, latents)
    frames = decode_latents(made.pipe, latents, num_frames=9)
    assert torch.equal(frames, decode_latents(made.pipe, latents[:, 1:], num_frames=9))


def test_leading_latents_are_conditions(tiny: Callable[[str], Any]) -> None:
    """As WanVACEPipeline drops the latents of its reference images."""
    pipe = tiny("wan").pipe
    latents = normal(1, 16, 4, 4, 6)
    frames = decode_latents(pipe, latents, num_frames=9)
    assert torch.equal(frames, decode_latents(pipe, latents[:, :, 1:]))


@pytest.mark.parametrize("num_frames", [10, 11, 12])
def test_numbers_of_frames_are_rounded_as_wan_rounds_them(
    tiny: Callable[[str], Any], num_frames: int
) -> None:
    made = tiny("wan")
    arguments = made.kwargs | {"num_frames": num_frames, "prompt": "a cat"}
    latents = made.pipe(**arguments, output_type="latent").frames
    frames = decode_latents(made.pipe, latents, num_frames=num_frames)
    assert torch.equal(frames, decode_latents(made.pipe, latents))


def test_flattened_latents_need_the_number_of_frames(tiny: Callable[[str], Any]) -> None:
    pipe = tiny("text_to_video_sd").pipe
    with pytest.raises(ValueError, match="latents of 4 axes have their frames in the batch"):
        decode_latents(pipe, normal(6, 4, 8, 8))
    with pytest.raises(ValueError, match="6 latent frames do not divide into videos of 4 frames"):
        decode_latents(pipe, normal(6, 4, 8, 8), num_frames=4)


def test_latents_of_no_layout(tiny: Callable[[str], Any]) -> None:
    with pytest.raises(ValueError, match=r"latents of shape \(4, 4\); they have 5 axes"):
        decode_latents(tiny("wan").pipe, normal(4, 4))


def test_latents_of_another_layout(tiny: Callable[[str], Any]) -> None:
    with pytest.raises(
        ValueError,
        match=r"\(1, 4, 3, 4, 6\): 4 channels where AutoencoderKLWan decodes 16; .*bcthw",
    ):
        decode_latents(tiny("wan").pipe, normal(1, 3, 4, 4, 6).transpose(1, 2))


def test_a_chunk_that_is_none(tiny: Callable[[str], Any]) -> None:
    with pytest.raises(ValueError, match="chunk is 0; it counts latent frames, 1 or more"):
        decode_latents(tiny("wan").pipe, normal(1, 16, 2, 4, 6), chunk=0)


def test_noise_without_a_generator(tiny: Callable[[str], Any]) -> None:
    made = tiny("ltx_timestep")
    with pytest.raises(ValueError, match=r"decode_noise_scale is 0\.05: pass the generator"):
        decode_latents(made.pipe, normal(1, 8, 2, 4, 6), decode_timestep=0.05)

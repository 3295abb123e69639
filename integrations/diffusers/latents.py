"""Latents to frames for every VAE family: unclamped, differentiable, in bounded memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from aigv_reward.integrations.diffusers.carried_decode import decode_carried
from aigv_reward.integrations.diffusers.latent_formats import (
    LatentFormat,
    format_of,
    register_latents,
)
from aigv_reward.integrations.diffusers.latent_layout import bounds, frames_of, unpack
from aigv_reward.integrations.diffusers.offloading import is_group_offloaded, is_moved_by_hooks
from aigv_reward.integrations.diffusers.whole_decode import (
    decode_frames,
    decode_joint,
    decode_whole,
)

__all__ = ["decode_latents", "register_latents"]


def decode_latents(
    pipe: Any,
    latents: Tensor,
    *,
    height: int | None = None,
    width: int | None = None,
    num_frames: int | None = None,
    window: slice | None = None,
    checkpoint: bool = True,
    chunk: int | None = None,
    decode_timestep: float = 0.0,
    decode_noise_scale: float | None = None,
    generator: Generator | list[Generator] | None = None,
) -> Tensor:
    """The video that a pipeline's latents decode to, as `output_type="pt"` but not clamped.

    Clamped to [0, 1] it is what the pipeline returns. Unclamped it keeps the gradient of pixels
    that leave that range, which the pipelines, and AutoencoderKLWan itself, drop.

    Videos are decoded one by one. A window decodes a part of each, for gradients at a part of the
    cost. The VAEs of Wan and CogVideoX decode the latents before the window without gradient and
    those after it not at all; image VAEs decode the window alone; HunyuanVideo 1.5 and Mochi
    leave out what follows it. The other VAEs mix all frames: they decode everything, only that
    the gradient stays within the window.

    Args:
        pipe: a diffusers pipeline; its `vae`, and its scheduler's `sigma_data`, are read.
        latents: as the denoising loop holds them: (B, C, T, h, w) for most, (B, T, C, h, w) for
            CogVideoX and Stable Video Diffusion, (B, S, D) packed for LTX, (B*T, C, h, w) at the
            scheduler of TextToVideoSD. float.
        height, width: pixels; needed for packed latents only.
        num_frames: frames of the video; needed for packed or flattened latents and for
            CogVideoX 1.5. Where the latents of CogVideoX and Wan hold more, the first are padding
            or reference images, and dropped as the pipelines drop them.
        window: latent frames `slice(first, stop)` whose video frames are returned, and which
            alone receive gradient.
        checkpoint: recompute in the backward pass instead of keeping the decoder's graph.
        chunk: latent frames that share a checkpoint (Wan, CogVideoX: by default the square root
            of their number), or images decoded at once (image VAEs: 1; Stable Video Diffusion:
            all frames, for they are mixed). Of no effect elsewhere.
        decode_timestep: of LTX's VAEs that are conditioned on a timestep; as in their pipelines.
        decode_noise_scale: in [0, 1], of the same; None: `decode_timestep`.
        generator: draws their noise.

    Returns:
        (B, T, 3, H, W) float32, nominally in [0, 1], not clamped; with a window, the frames that
        belong to its latent frames.

    Raises:
        ValueError: the VAE is unknown; a size is needed, or does not fit the latents; the window
            is empty or strided; noise without a generator; gradients through a VAE whose weights
            are swapped by group offloading.
    """
    vae = getattr(pipe.vae, "_orig_mod", pipe.vae)
    format = format_of(vae)
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}; it counts latent frames, 1 or more")
    if torch.is_grad_enabled() and latents.requires_grad and is_group_offloaded(vae):
        raise ValueError(
            f"{type(vae).__name__} is group-offloaded: its weights are elsewhere when gradients "
            "are computed; use enable_model_cpu_offload, or leave the VAE out of group offloading"
        )
    z = unpack(pipe, vae, format, latents, height=height, width=width, num_frames=num_frames)
    span = bounds(window, z.shape[2])
    weight = next(vae.parameters())
    arguments: list[Tensor] = []
    if getattr(getattr(vae, "config", None), "timestep_conditioning", False):
        scale = decode_timestep if decode_noise_scale is None else decode_noise_scale
        if format.noise == "scaled":
            z = format.unscale(_noisy(z, scale, generator), vae, pipe)
        else:
            z = _noisy(format.unscale(z, vae, pipe), scale, generator)
        arguments.append(weight.new_full((1,), decode_timestep, device=z.device))
    else:
        z = format.unscale(z, vae, pipe)
    z = z.to(None if is_moved_by_hooks(vae) else weight.device, weight.dtype)
    videos = [_decode(vae, format, one, span, checkpoint, chunk, arguments) for one in z.split(1)]
    return torch.cat(videos).float().transpose(1, 2) / 2 + 0.5


def _noisy(z: Tensor, scale: float, generator: Generator | list[Generator] | None) -> Tensor:
    """As LTX's pipelines mix noise into what a timestep-conditioned VAE decodes."""
    if scale == 0:
        return z
    if generator is None:
        raise ValueError(
            f"decode_noise_scale is {scale}: pass the generator of its noise, or 0 for none"
        )
    from diffusers.utils.torch_utils import randn_tensor

    noise = randn_tensor(z.shape, generator=generator, device=z.device, dtype=z.dtype)
    return (1 - scale) * z + scale * noise


def _decode(
    vae: Any,
    format: LatentFormat,
    z: Tensor,
    window: tuple[int, int],
    checkpoint: bool,
    chunk: int | None,
    arguments: list[Tensor],
) -> Tensor:
    """(1, 3, F, H, W) in [-1, 1] from (1, C, T, h, w)."""
    first, stop = window
    if format.decoding in ("wan", "cogvideox"):
        return decode_carried(
            vae, z, family=format.decoding, window=window, checkpoint=checkpoint, chunk=chunk
        )
    if format.decoding == "frames":
        return decode_frames(vae, z[:, :, first:stop], checkpoint=checkpoint, chunk=chunk)
    after = z[:, :, stop : stop if format.causal else None].detach()
    z = torch.cat([z[:, :, :first].detach(), z[:, :, first:stop], after], dim=2)
    if format.decoding == "joint":
        video = decode_joint(vae, z, checkpoint=checkpoint, chunk=chunk)
    else:
        video = decode_whole(vae, z, *arguments, checkpoint=checkpoint)
    if format.decoded == "btchw":
        video = video.transpose(1, 2)
    return frames_of(vae, video, z.shape[2], window)

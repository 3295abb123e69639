"""Videos as the latents that a pipeline's denoising loop holds: what `decode_latents` undoes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.latent_formats import format_of


@torch.no_grad()
def encode_video(pipe: Any, frames: Tensor) -> Tensor:
    """Clean latents of videos, the mode of the VAE's posterior, in the loop's layout and scale.

    Args:
        pipe: a diffusers video pipeline.
        frames: (B, T, 3, H, W) in [0, 1], of sizes that the pipeline generates.

    Returns:
        (B, ...) in float32: (B, C, t, h, w), (B, t, C, h, w) for CogVideoX, packed for LTX.

    Raises:
        ValueError: frames of another shape, an unknown VAE, or CogVideoX 1.5, whose latents hold
            padding.
    """
    if frames.ndim != 5 or frames.shape[2] != 3:
        raise ValueError(f"frames have shape {tuple(frames.shape)}; expected (B, T, 3, H, W)")
    vae = pipe.vae
    form = format_of(vae)
    transformer = getattr(getattr(pipe, "transformer", None), "config", {})
    if form.decoding == "cogvideox" and transformer.get("patch_size_t") is not None:
        raise ValueError("latents of CogVideoX 1.5 hold padding; give precomputed ones")
    weight = next(vae.parameters())
    video = (frames.float() * 2 - 1).transpose(1, 2).to(weight.device, weight.dtype)
    if form.decoding in ("frames", "joint"):
        images = video.transpose(1, 2).flatten(0, 1)
        coded = torch.cat([vae.encode(image).latent_dist.mode() for image in images.split(1)])
        z = coded.unflatten(0, (len(frames), -1)).transpose(1, 2)
    else:
        z = torch.cat([vae.encode(one).latent_dist.mode() for one in video.split(1)])
    z = z.float()
    # The scale is affine: read it off where latents are 0 and 1, and undo it.
    offset = form.unscale(torch.zeros_like(z), vae, pipe)
    scale = form.unscale(torch.ones_like(z), vae, pipe) - offset
    z = (z - offset) / scale
    if hasattr(pipe, "_pack_latents") and hasattr(pipe, "transformer_spatial_patch_size"):
        packed: Tensor = pipe._pack_latents(
            z, pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size
        )
        return packed
    return z if form.layout == "bcthw" else z.transpose(1, 2)

"""Latents of every layout as (B, C, T, h, w), and the frames that latent frames stand for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from aigv_reward.integrations.diffusers.latent_formats import LatentFormat


def unpack(
    pipe: Any,
    vae: Any,
    format: LatentFormat,
    latents: Tensor,
    *,
    height: int | None,
    width: int | None,
    num_frames: int | None,
) -> Tensor:
    """(B, C, T, h, w), without the conditions or padding that lead the video's latents.

    Args:
        pipe, vae: the pipeline and its VAE.
        format: of the VAE.
        latents: (B, C, T, h, w), (B, T, C, h, w), (B*T, C, h, w) or packed (B, S, D).
        height, width, num_frames: of the video, where they are known.

    Raises:
        ValueError: a size is needed, or does not fit the latents.
    """
    if latents.ndim == 5:
        z = latents if format.layout == "bcthw" else latents.transpose(1, 2)
    elif latents.ndim == 4:
        z = _unflatten(latents, num_frames)
    elif latents.ndim == 3:
        z = _untokenize(pipe, vae, latents, height, width, num_frames)
    else:
        raise ValueError(
            f"latents of shape {tuple(latents.shape)}; they have 5 axes, or 4 with the frames "
            "flattened into the batch, or 3 where they are packed"
        )
    channels = _channels(vae)
    if channels is not None and z.shape[1] != channels:
        raise ValueError(
            f"latents of shape {tuple(latents.shape)}: {z.shape[1]} channels where "
            f"{type(vae).__name__} decodes {channels}; their layout is {format.layout!r}"
        )
    return _without_leading(pipe, vae, format, z, num_frames)


def temporal_ratio(vae: Any) -> int | None:
    """Video frames a latent frame, or None where the VAE does not say."""
    config = getattr(vae, "config", {})
    for ratio in (
        config.get("temporal_compression_ratio"),
        config.get("scale_factor_temporal"),
        vars(vae).get("temporal_compression_ratio"),
    ):
        if ratio is not None:
            return int(ratio)
    return None


def frames_before(latent_frame: int, *, lead: int, ratio: int) -> int:
    """Video frames before a latent frame: the first gives `lead`, every other one `ratio`."""
    return 0 if latent_frame == 0 else lead + ratio * (latent_frame - 1)


def frames_of(vae: Any, video: Tensor, latent_frames: int, window: tuple[int, int]) -> Tensor:
    """The frames of the latent frames in `window`, of a video decoded from `latent_frames`."""
    count = video.shape[2]
    ratio = temporal_ratio(vae)
    if ratio is None:
        whole = count % latent_frames == 0
        ratio = count // latent_frames if whole else (count - 1) // (latent_frames - 1)
    lead = count - ratio * (latent_frames - 1)
    first, stop = (frames_before(at, lead=lead, ratio=ratio) for at in window)
    return video[:, :, first:stop]


def bounds(window: slice | None, latent_frames: int) -> tuple[int, int]:
    """First latent frame of a window and the one after its last; all where it is None.

    Raises:
        ValueError: the window is empty, strided or reaches outside.
    """
    if window is None:
        return 0, latent_frames
    start = 0 if window.start is None else window.start
    stop = latent_frames if window.stop is None else window.stop
    if window.step not in (None, 1) or not 0 <= start < stop <= latent_frames:
        raise ValueError(
            f"window {window} of {latent_frames} latent frames; it is slice(first, stop) with "
            f"0 <= first < stop <= {latent_frames}"
        )
    return start, stop


def _channels(vae: Any) -> int | None:
    config = getattr(vae, "config", {})
    channels: int | None = config.get("latent_channels", config.get("z_dim"))
    return channels


def _unflatten(latents: Tensor, num_frames: int | None) -> Tensor:
    if num_frames is None:
        raise ValueError("latents of 4 axes have their frames in the batch: pass num_frames")
    if latents.shape[0] % num_frames:
        raise ValueError(
            f"{latents.shape[0]} latent frames do not divide into videos of {num_frames} frames"
        )
    return latents.unflatten(0, (-1, num_frames)).transpose(1, 2)


def _untokenize(
    pipe: Any, vae: Any, latents: Tensor, height: int | None, width: int | None, frames: int | None
) -> Tensor:
    """(B, C, T, h, w) from tokens, row by row, each a patch with the channels outermost."""
    if height is None or width is None or frames is None:
        raise ValueError(
            "packed latents do not tell their shape: pass height, width and num_frames in pixels"
        )
    if hasattr(pipe, "transformer_spatial_patch_size"):
        patch, patch_t = pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size
    else:  # a modular pipeline
        patch, patch_t = pipe.transformer.config.patch_size, pipe.transformer.config.patch_size_t
    grid = (
        ((frames - 1) // vae.temporal_compression_ratio + 1) // patch_t,
        height // vae.spatial_compression_ratio // patch,
        width // vae.spatial_compression_ratio // patch,
    )
    tokens = grid[0] * grid[1] * grid[2]
    if tokens != latents.shape[1]:
        raise ValueError(
            f"{latents.shape[1]} packed tokens, but {frames} frames of {height}x{width} pixels "
            f"are {tokens}"
        )
    z = latents.unflatten(1, grid).unflatten(-1, (-1, patch_t, patch, patch))
    # (B, T, h, w, C, pt, ph, pw) -> (B, C, T, pt, h, ph, w, pw) -> (B, C, T*pt, h*ph, w*pw)
    return z.permute(0, 4, 1, 5, 2, 6, 3, 7).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _without_leading(
    pipe: Any, vae: Any, format: LatentFormat, z: Tensor, num_frames: int | None
) -> Tensor:
    """Without CogVideoX 1.5's padding, and the latents of reference images that Wan's hold."""
    if format.decoding not in ("wan", "cogvideox"):
        return z
    ratio = temporal_ratio(vae) or 1
    if num_frames is None:
        transformer = getattr(getattr(pipe, "transformer", None), "config", {})
        if format.decoding == "cogvideox" and transformer.get("patch_size_t") is not None:
            raise ValueError(
                "CogVideoX 1.5 pads its latents in front to a multiple of the temporal patch: "
                "pass num_frames, so that the padding can be told from the video"
            )
        return z
    frames = [(num_frames - 1) // ratio + 1]
    if format.decoding == "wan" and num_frames % ratio != 1:
        frames.append(num_frames // ratio + 1)  # as Wan's pipelines round it
    return z if z.shape[2] <= max(frames) else z[:, :, z.shape[2] - max(frames) :]

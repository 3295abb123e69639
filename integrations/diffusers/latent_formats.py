"""What each VAE family's latents mean: their layout, their scale, and how they are decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

Layout = Literal["bcthw", "btchw"]
Value = float | Sequence[float] | Tensor | None
Statistic = Value | Callable[[Any], Value]


@dataclass(frozen=True)
class LatentFormat:
    """A VAE's latents as a denoising loop holds them: z = latents * std + mean is what it decodes.

    Attributes:
        layout: axes of the latents.
        mean, std: a number, one number a channel, or one a channel and latent frame, as a flat
            sequence; or a function of the VAE that returns them. None: 0 and 1.
        decoding: "whole", all frames in one call; "frames", each alone, by an image VAE; "joint",
            frames flattened into the batch and told apart by `num_frames`; "wan" and "cogvideox",
            forward in time with the cache of their causal convolutions.
        causal: of "whole" only: no frame depends on a later latent, nor on how many there are.
        noise: where a VAE that is conditioned on a timestep has noise added to its latents.
        sigma_data: whether the scheduler's `sigma_data`, where there is one, scales the latents.
        decoded: axes of what the VAE returns.
    """

    layout: Layout = "bcthw"
    mean: Statistic = None
    std: Statistic = None
    decoding: Literal["whole", "frames", "joint", "wan", "cogvideox"] = "whole"
    causal: bool = False
    noise: Literal["scaled", "unscaled"] = "unscaled"
    sigma_data: bool = False
    decoded: Layout = "bcthw"

    def unscale(self, latents: Tensor, vae: Any, pipe: Any) -> Tensor:
        """What the VAE decodes, from (B, C, T, h, w) latents; in float32."""
        std = _spread(self.std, vae, latents, empty=1.0)
        mean = _spread(self.mean, vae, latents, empty=0.0)
        if self.sigma_data:
            std = std / pipe.scheduler.config.get("sigma_data", 1.0)
        return latents.float() * std + mean


def _spread(statistic: Statistic, vae: Any, latents: Tensor, *, empty: float) -> Tensor:
    value = statistic(vae) if callable(statistic) else statistic
    flat = torch.as_tensor(
        empty if value is None else value, dtype=torch.float32, device=latents.device
    )
    if flat.ndim == 0:
        return flat
    channels = latents.shape[1]
    if flat.numel() % channels:
        raise ValueError(
            f"latents of {channels} channels, but the statistics of {type(vae).__name__} hold "
            f"{flat.numel()} numbers: one a channel, or one a channel and latent frame"
        )
    return flat.reshape(1, channels, -1, 1, 1)[:, :, : latents.shape[2]]


def _inverse_scaling_factor(vae: Any) -> float:
    return 1.0 / float(vae.config.scaling_factor)


def _statistic(vae: Any, name: str) -> Value:
    """LTX's VAEs hold theirs in buffers, the others in their configuration."""
    value: Value = dict(vae.named_buffers(recurse=False)).get(name, vae.config.get(name))
    return value


def _mean(vae: Any) -> Value:
    return _statistic(vae, "latents_mean")


def _std(vae: Any) -> Value:
    return _statistic(vae, "latents_std")


def _std_over_scaling_factor(vae: Any) -> Tensor:
    std = _std(vae)
    return torch.as_tensor(1.0 if std is None else std).float() * _inverse_scaling_factor(vae)


# By name: an older diffusers lacks some of these classes, and no class is loaded for its name.
_BUILT_IN: dict[str, LatentFormat] = {
    "AutoencoderKL": LatentFormat(std=_inverse_scaling_factor, decoding="frames"),
    "AutoencoderKLAllegro": LatentFormat(std=_inverse_scaling_factor, decoded="btchw"),
    "AutoencoderKLCogVideoX": LatentFormat(
        "btchw", std=_inverse_scaling_factor, decoding="cogvideox"
    ),
    "AutoencoderKLCosmos": LatentFormat(mean=_mean, std=_std, sigma_data=True),
    "AutoencoderKLHunyuanVideo": LatentFormat(std=_inverse_scaling_factor),
    "AutoencoderKLHunyuanVideo15": LatentFormat(std=_inverse_scaling_factor, causal=True),
    "AutoencoderKLLTX2Video": LatentFormat(
        mean=_mean, std=_std_over_scaling_factor, noise="scaled"
    ),
    "AutoencoderKLLTXVideo": LatentFormat(mean=_mean, std=_std_over_scaling_factor),
    "AutoencoderKLMochi": LatentFormat(mean=_mean, std=_std_over_scaling_factor, causal=True),
    "AutoencoderKLTemporalDecoder": LatentFormat(
        "btchw", std=_inverse_scaling_factor, decoding="joint"
    ),
    "AutoencoderKLWan": LatentFormat(mean=_mean, std=_std, decoding="wan", sigma_data=True),
}
_REGISTERED: dict[type, LatentFormat] = {}


def register_latents(
    vae_class: type,
    *,
    layout: Layout = "bcthw",
    mean: Statistic = None,
    std: Statistic = None,
    per_frame: bool = False,
    causal: bool = False,
) -> None:
    """Makes `decode_latents` know a VAE class, and its subclasses.

    The VAE's `decode` takes `latents * std + mean` as (B, C, T, h, w), or (B, C, h, w) where it
    decodes frame by frame, and returns a tensor, or an output whose first element is one, in
    [-1, 1]. A class that is known already is replaced.

    Args:
        vae_class: the class of `pipe.vae`.
        layout: axes of the latents in the denoising loop.
        mean, std: a number, or one a channel, or a function of the VAE that returns them, as
            `lambda vae: 1 / vae.config.scaling_factor`.
        per_frame: an image VAE that decodes each frame alone.
        causal: frames do not depend on later latents: a window then costs nothing after its end.

    Raises:
        ValueError: the layout is neither "bcthw" nor "btchw".
    """
    if layout not in ("bcthw", "btchw"):
        raise ValueError(f"layout {layout!r} of latents; it is 'bcthw' or 'btchw'")
    decoding: Literal["frames", "whole"] = "frames" if per_frame else "whole"
    _REGISTERED[vae_class] = LatentFormat(
        layout, mean=mean, std=std, decoding=decoding, causal=causal
    )


def format_of(vae: Any) -> LatentFormat:
    """How the latents of `vae` are laid out, scaled and decoded.

    Raises:
        ValueError: the VAE is neither built in nor registered.
    """
    for ancestor in type(vae).__mro__:
        if ancestor in _REGISTERED:
            return _REGISTERED[ancestor]
        if ancestor.__name__ in _BUILT_IN and ancestor.__module__.startswith("diffusers."):
            return _BUILT_IN[ancestor.__name__]
    name = type(vae).__name__
    raise ValueError(
        f"no latent format is known for {name}; name its statistics: "
        f"register_latents({name}, mean=..., std=...), with latents * std + mean what it decodes. "
        f"Known: {', '.join([*_BUILT_IN, *(cls.__name__ for cls in _REGISTERED)])}"
    )

"""Decoding forward in time with a carried cache, where gradients cost a few frames of memory.

AutoencoderKLWan and AutoencoderKLCogVideoX decode pieces of latent frames in order; all that a
piece needs of the past is the last two frames at each causal convolution. That cache is an input
and an output of each piece here, never a state of the module, so that a piece can be recomputed
in the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from aigv_reward.integrations.diffusers.latent_layout import frames_before
from aigv_reward.integrations.diffusers.offloading import bring_to_device
from aigv_reward.integrations.diffusers.recomputation import (
    recompute,
    recomputed_blocks,
    recomputed_wan_layers,
)
from aigv_reward.integrations.diffusers.tiled_decode import decode_tiles, tiling_of

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]


def carry(
    step: Step, pieces: Sequence[Tensor], state: Any, *, checkpoint: bool, segment: int | None
) -> list[Tensor]:
    """What `step` returns for each piece, its state carried from piece to piece.

    With `checkpoint`, segments of pieces are recomputed in the backward pass, and so are the
    pieces within them: what is kept is a state a segment, a state a piece of one segment, and
    the graph of one piece. `segment` None takes the square root of the number of pieces, where
    states are fewest.

    References: Chen et al., Training Deep Nets with Sublinear Memory Cost (arXiv 1604.06174).
    """
    if not checkpoint:
        return _run(step, pieces, state)[0]
    size = segment or math.isqrt(max(len(pieces) - 1, 0)) + 1

    def run(group: Sequence[Tensor], state: Any) -> tuple[list[Tensor], Any]:
        return _run(_recomputed(step) if len(group) > 1 else step, group, state)

    outputs = []
    for start in range(0, len(pieces), size):
        some, state = _recomputed(run)(pieces[start : start + size], state)
        outputs += some
    return outputs


def _run(step: Step, pieces: Sequence[Tensor], state: Any) -> tuple[list[Tensor], Any]:
    outputs = []
    for piece in pieces:
        output, state = step(piece, state)
        outputs.append(output)
    return outputs, state


def _recomputed(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`function`, recomputed in the backward pass from every tensor of its two arguments."""

    def call(pieces: Any, state: Any) -> Any:
        leaves, structure = tree_flatten((pieces, state))
        return recompute(
            lambda *leaves: function(*tree_unflatten(list(leaves), structure)),
            *leaves,
        )

    return call


def decode_carried(
    vae: Any,
    z: Tensor,
    *,
    family: str,
    window: tuple[int, int],
    checkpoint: bool,
    chunk: int | None,
) -> Tensor:
    """Frames of the latent frames in `window`, unclamped.

    Latents before the window are decoded without gradient, for the cache alone; latents after it
    are not decoded.

    Args:
        vae: an AutoencoderKLWan or AutoencoderKLCogVideoX, as `family` says.
        z: (1, C, T, h, w), unscaled.
        family: "wan" or "cogvideox".
        window: first latent frame, and the one after the last.
        checkpoint: recompute in the backward pass.
        chunk: latent frames that share a checkpoint; see `carry`.

    Returns:
        (1, 3, F, H, W) in about [-1, 1], in the VAE's dtype.
    """
    decode = _decode_wan if family == "wan" else _decode_cogvideox
    tiling = tiling_of(vae, z, family)

    def frames_of(z: Tensor) -> Tensor:
        return decode(vae, z, window, checkpoint and torch.is_grad_enabled(), chunk)

    video = frames_of(z) if tiling is None else decode_tiles(frames_of, vae, z, tiling)
    patch = getattr(vae.config, "patch_size", None) if family == "wan" else None
    if patch is not None:
        from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

        video = unpatchify(video, patch_size=patch)
    return video


def _decode_wan(
    vae: Any, z: Tensor, window: tuple[int, int], checkpoint: bool, chunk: int | None
) -> Tensor:
    def step(z: Tensor, cache: list[Any]) -> tuple[Tensor, list[Any]]:
        bring_to_device(vae)
        cache = list(cache)  # the decoder replaces its elements
        with recomputed_wan_layers(vae.decoder) if checkpoint else nullcontext():
            frames = vae.decoder(
                vae.post_quant_conv(z), feat_cache=cache, feat_idx=[0], first_chunk=cache[0] is None
            )
        return frames, cache

    start, stop = window
    frames = list(z[:, :, :stop].split(1, dim=2))
    cache = [None] * sum(isinstance(layer, nn.Conv3d) for layer in vae.decoder.modules())
    with torch.no_grad():
        _, warm = _run(lambda z, cache: (z, step(z, cache)[1]), frames[:start], cache)
    return torch.cat(carry(step, frames[start:], warm, checkpoint=checkpoint, segment=chunk), dim=2)


def _decode_cogvideox(
    vae: Any, z: Tensor, window: tuple[int, int], checkpoint: bool, chunk: int | None
) -> Tensor:
    def step(z: Tensor, cache: Any) -> tuple[Tensor, Any]:
        bring_to_device(vae)
        if vae.post_quant_conv is not None:
            z = vae.post_quant_conv(z)
        with recomputed_blocks(vae.decoder) if checkpoint else nullcontext():
            frames, cache = vae.decoder(z, conv_cache=cache)
        return frames, _without_pointwise(cache)

    # Normalisation spans a piece, so its boundaries must be those of vae.decode.
    start, stop = window
    size = vae.num_latent_frames_batch_size
    count = z.shape[2]
    bounds = [0, *range(size + count % size, count, size), count] if count > size else [0, count]
    spans = [(a, b) for a, b in pairwise(bounds) if a < stop]
    before = [span for span in spans if span[1] <= start]
    z = torch.cat([z[:, :, :start].detach(), z[:, :, start:stop], z[:, :, stop:].detach()], dim=2)
    with torch.no_grad():
        pieces = [z[:, :, a:b] for a, b in before]
        _, warm = _run(lambda z, cache: (z, step(z, cache)[1]), pieces, None)
    pieces = [z[:, :, a:b] for a, b in spans[len(before) :]]
    segment = None if chunk is None else max(1, chunk // size)
    video = torch.cat(carry(step, pieces, warm, checkpoint=checkpoint, segment=segment), dim=2)
    ratio = int(vae.config.temporal_compression_ratio)
    before_latent = partial(frames_before, lead=1 if count % 2 else ratio, ratio=ratio)
    decoded, first, last = map(before_latent, (spans[len(before)][0], start, stop))
    return video[:, :, first - decoded : last - decoded]


def _without_pointwise(cache: dict[str, Any]) -> dict[str, Any]:
    """The cache less the whole inputs that convolutions of kernel size 1 put there unread."""
    return {
        name: _without_pointwise(value) if isinstance(value, dict) else value
        for name, value in cache.items()
        if name not in ("conv_y", "conv_b")
    }

"""Decoding by `vae.decode` itself, with its decoder recomputed in the backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from aigv_reward.integrations.diffusers.recomputation import recompute, recomputed_decoder


def decode_whole(vae: Any, z: Tensor, *args: Any, checkpoint: bool, **kwargs: Any) -> Tensor:
    """What `vae.decode` returns for `z`, tiling and slicing included.

    With `checkpoint`, each call of the VAE's decoder (one, or one a tile) is recomputed in the
    backward pass, and within it each block, where the decoder can recompute its blocks: what is
    kept is one block's graph, and the inputs of the blocks of one call.
    """
    if not (checkpoint and torch.is_grad_enabled()):
        return _tensor(vae.decode(z, *args, **kwargs))
    if not isinstance(getattr(vae, "decoder", None), nn.Module):
        decoded = recompute(vae.decode, z, *args, **kwargs)
    else:
        with recomputed_decoder(vae):
            decoded = vae.decode(z, *args, **kwargs)
    return _tensor(decoded)


def decode_frames(vae: Any, z: Tensor, *, checkpoint: bool, chunk: int | None) -> Tensor:
    """(1, 3, T, H, W) from (1, C, T, h, w), each frame decoded as an image, `chunk` at a time.

    With `checkpoint`, each chunk is recomputed in the backward pass: what is kept is the graph of
    one chunk.
    """
    images = []
    for some in z[0].transpose(0, 1).split(chunk or 1):
        if checkpoint and torch.is_grad_enabled():
            images.append(_tensor(recompute(vae.decode, some)))
        else:
            images.append(_tensor(vae.decode(some)))
    return torch.cat(images).transpose(0, 1)[None]


def decode_joint(vae: Any, z: Tensor, *, checkpoint: bool, chunk: int | None) -> Tensor:
    """(1, 3, T, H, W) from (1, C, T, h, w), the frames of each `chunk` decoded together.

    The VAE of Stable Video Diffusion mixes the frames that it is given, so `chunk` is the
    pipeline's `decode_chunk_size`, and by default all frames.
    """
    frames = z[0].transpose(0, 1)
    chunks = [
        decode_whole(vae, some, checkpoint=checkpoint, num_frames=len(some))
        for some in frames.split(chunk or len(frames))
    ]
    return torch.cat(chunks).transpose(0, 1)[None]


def _tensor(decoded: Any) -> Tensor:
    tensor: Tensor = decoded if isinstance(decoded, Tensor) else decoded[0]
    return tensor

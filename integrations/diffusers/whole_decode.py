"""Decoding by `vae.decode` itself, with its decoder recomputed in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

BLOCKWISE = ("gradient_checkpointing", "_gradient_checkpointing_func")


def decode_whole(vae: Any, z: Tensor, *args: Any, checkpoint: bool, **kwargs: Any) -> Tensor:
    """What `vae.decode` returns for `z`, tiling and slicing included.

    With `checkpoint`, each call of the VAE's decoder (one, or one a tile) is recomputed in the
    backward pass, and within it each block, where the decoder can recompute its blocks: what is
    kept is one block's graph, and the inputs of the blocks of one call.
    """
    if not (checkpoint and torch.is_grad_enabled()):
        return _tensor(vae.decode(z, *args, **kwargs))
    decoder = getattr(vae, "decoder", None)
    if not isinstance(decoder, nn.Module):
        decoded = recompute(vae.decode, z, *args, use_reentrant=False, **kwargs)
    else:
        with _recomputed(decoder):
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
            images.append(_tensor(recompute(vae.decode, some, use_reentrant=False)))
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


@contextmanager
def _recomputed(decoder: nn.Module) -> Iterator[None]:
    plain = decoder.forward

    def blockwise(*args: Any, **kwargs: Any) -> Any:
        # Set here, not around: the recomputation runs after the surrounding context has ended.
        with _attributes(
            decoder,
            dict(zip(BLOCKWISE, (True, partial(recompute, use_reentrant=False)), strict=True))
            if hasattr(decoder, BLOCKWISE[0])
            else {},
        ):
            return plain(*args, **kwargs)

    with _attributes(decoder, {"forward": partial(recompute, blockwise, use_reentrant=False)}):
        yield


@contextmanager
def _attributes(module: nn.Module, values: dict[str, Any]) -> Iterator[None]:
    """Sets attributes of this one module, and takes them back."""
    before = {name: module.__dict__[name] for name in values if name in module.__dict__}
    module.__dict__.update(values)
    try:
        yield
    finally:
        for name in values:
            del module.__dict__[name]
        module.__dict__.update(before)

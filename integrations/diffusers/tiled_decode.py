"""The spatial tiles of AutoencoderKLWan and AutoencoderKLCogVideoX, around any decode of a tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tiling:
    """Heights and widths: of a tile and between tiles in latents; blended and kept in pixels."""

    size: tuple[int, int]
    stride: tuple[int, int]
    blend: tuple[int, int]
    keep: tuple[int, int]


def tiling_of(vae: Any, z: Tensor, family: str) -> Tiling | None:
    """The tiles of `vae.tiled_decode`, or None where `vae.decode` would not tile."""
    if not vae.use_tiling:
        return None
    if family == "wan":
        ratio = vae.spatial_compression_ratio
        tile = (vae.tile_sample_min_height, vae.tile_sample_min_width)
        step = (vae.tile_sample_stride_height, vae.tile_sample_stride_width)
        size = (tile[0] // ratio, tile[1] // ratio)
        stride = (step[0] // ratio, step[1] // ratio)
        patch = vae.config.patch_size or 1
        keep = (step[0] // patch, step[1] // patch)
        blend = (tile[0] // patch - keep[0], tile[1] // patch - keep[1])
    else:
        overlap = (vae.tile_overlap_factor_height, vae.tile_overlap_factor_width)
        tile = (vae.tile_sample_min_height, vae.tile_sample_min_width)
        size = (vae.tile_latent_min_height, vae.tile_latent_min_width)
        stride = (int(size[0] * (1 - overlap[0])), int(size[1] * (1 - overlap[1])))
        blend = (int(tile[0] * overlap[0]), int(tile[1] * overlap[1]))
        keep = (tile[0] - blend[0], tile[1] - blend[1])
    if z.shape[3] <= size[0] and z.shape[4] <= size[1]:
        return None
    return Tiling(size, stride, blend, keep)


def decode_tiles(decode: Callable[[Tensor], Tensor], vae: Any, z: Tensor, tiling: Tiling) -> Tensor:
    """`vae.tiled_decode` without its clamp."""
    rows = [
        [
            decode(z[:, :, :, y : y + tiling.size[0], x : x + tiling.size[1]])
            for x in range(0, z.shape[4], tiling.stride[1])
        ]
        for y in range(0, z.shape[3], tiling.stride[0])
    ]
    blended = []
    for i, row in enumerate(rows):
        kept = []
        for j, tile in enumerate(row):
            if i > 0:
                tile = vae.blend_v(rows[i - 1][j], tile, tiling.blend[0])
            if j > 0:
                tile = vae.blend_h(row[j - 1], tile, tiling.blend[1])
            kept.append(tile[:, :, :, : tiling.keep[0], : tiling.keep[1]])
        blended.append(torch.cat(kept, dim=4))
    video = torch.cat(blended, dim=3)
    scale = rows[0][0].shape[3] // min(tiling.size[0], z.shape[3])
    return video[:, :, :, : z.shape[3] * scale, : z.shape[4] * scale]

"""Technical quality: a Video Swin Transformer over fragments.

Shape legend: B videos, D x H x W feature positions (time, height, width), C channels,
K windows per video, N positions per window, h heads.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int, int]

# Added to the logits of pairs that the cyclic shift made neighbours; finite, as published.
_SEPARATED = -100.0


@dataclass(frozen=True)
class SwinConfig:
    """Widths of a Video Swin Transformer; the defaults are Video Swin-T.

    Args:
        embed_dim: channels after the patch embedding; doubled by every later stage.
        depths: blocks of each stage.
        num_heads: attention heads of each stage.
        patch_size: (frames, rows, columns) of one patch.
        window_size: (D, H, W) positions of one attention window.
        mlp_ratio: hidden width of each MLP over its input width.

    Raises:
        ValueError: the lists differ in length, or a stage's width is no multiple of its heads.
    """

    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    patch_size: Size = (2, 4, 4)
    window_size: Size = (8, 7, 7)
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        for name in ("depths", "num_heads", "patch_size", "window_size"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.depths) != len(self.num_heads):
            raise ValueError(
                f"depths {self.depths} and num_heads {self.num_heads} differ in length; "
                "give one entry of each per stage"
            )
        for stage, heads in enumerate(self.num_heads):
            if self.stage_dim(stage) % heads:
                raise ValueError(
                    f"stage {stage} has {self.stage_dim(stage)} channels, not a multiple of its "
                    f"{heads} heads; change embed_dim or num_heads"
                )

    def stage_dim(self, stage: int) -> int:
        """Channels inside stage `stage`."""
        return self.embed_dim * 2**stage


def clip_window(size: Size, window: Size, shift: Size) -> tuple[Size, Size]:
    """The window no larger than the features, and the shift, 0 along an axis it spans whole.

    References: Video Swin Transformer (arXiv 2106.13230), section 3.2.
    """
    clipped = [min(s, w) for s, w in zip(size, window, strict=True)]
    shifts = [0 if s <= w else d for s, w, d in zip(size, window, shift, strict=True)]
    return (clipped[0], clipped[1], clipped[2]), (shifts[0], shifts[1], shifts[2])


def partition_windows(x: Tensor, window: Size) -> Tensor:
    """(B, D, H, W, C) cut into windows: (B, K, N, C); the window divides D, H and W."""
    b, d, h, w, c = x.shape
    wd, wh, ww = window
    x = x.reshape(b, d // wd, wd, h // wh, wh, w // ww, ww, c)
    # (B, D/wd, H/wh, W/ww, wd, wh, ww, C) -> (B, K, N, C)
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(b, -1, wd * wh * ww, c)


def merge_windows(x: Tensor, window: Size, size: Size) -> Tensor:
    """The inverse of `partition_windows`: (B, K, N, C) back to (B, D, H, W, C)."""
    (wd, wh, ww), (d, h, w) = window, size
    b, c = x.shape[0], x.shape[-1]
    x = x.reshape(b, d // wd, h // wh, w // ww, wd, wh, ww, c)
    # (B, D/wd, wd, H/wh, wh, W/ww, ww, C) -> (B, D, H, W, C)
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(b, d, h, w, c)


def shift_mask(size: Size, window: Size, shift: Size, like: Tensor) -> Tensor:
    """(K, N, N) added to the logits: 0 within a region of the unshifted map, -100 across.

    After the cyclic shift the last window of an axis holds two regions that are not neighbours
    in the video. Padding belongs to the region it touches.

    Args:
        size: padded (D, H, W), multiples of `window`.
        window: clipped window.
        shift: clipped shift.
        like: gives the device and dtype.
    """
    region = torch.zeros((), dtype=torch.long, device=like.device)
    for axis, (n, w, s) in enumerate(zip(size, window, shift, strict=True)):
        position = torch.arange(n, device=like.device)
        part = (position >= n - w).long() + (position >= n - s) if s else torch.zeros_like(position)
        shape = [1, 1, 1]
        shape[axis] = n
        region = region * 3 + part.reshape(shape)
    ids = partition_windows(region[None, ..., None], window)[0, ..., 0]  # (K, N)
    mask = torch.zeros((), dtype=like.dtype, device=like.device)
    return mask.masked_fill(ids[:, :, None] != ids[:, None, :], _SEPARATED)


class WindowAttention(nn.Module):
    """Self-attention within windows, with a learned bias for each relative position."""

    def __init__(self, dim: int, num_heads: int, window_size: Size) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        entries = math.prod(2 * w - 1 for w in window_size)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(entries, num_heads))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def relative_position_bias(self, n: int) -> Tensor:
        """(h, N, N) bias of the first `n` positions of the FULL window.

        Published checkpoints were trained with this slice also where the window is clipped.
        The index is computed here, not stored: a table index is linear in both positions.
        """
        device = self.relative_position_bias_table.device
        wd, wh, ww = self.window_size
        code = torch.arange(wd, device=device)[:, None, None] * (2 * wh - 1) * (2 * ww - 1)
        code = code + torch.arange(wh, device=device)[:, None] * (2 * ww - 1)
        code = (code + torch.arange(ww, device=device)).flatten()  # (wd * wh * ww,)
        index = code[:n, None] - code[None, :n] + code[-1]
        bias = self.relative_position_bias_table[index.flatten()]  # (N * N, h)
        return bias.reshape(n, n, self.num_heads).permute(2, 0, 1).contiguous()

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, K, N, C) windows to the same shape; `mask` (K, N, N) is added to the logits."""
        b, k, n, c = x.shape
        qkv = self.qkv(x).reshape(b, k, n, 3, self.num_heads, c // self.num_heads)
        qkv = qkv.permute(3, 0, 1, 4, 2, 5)  # (3, B, K, h, N, C/h)
        bias = self.relative_position_bias(n)
        if mask is None:
            query, key, value = qkv.flatten(1, 2)  # (B*K, h, N, C/h)
            attn_mask = bias[None]
        else:
            # Windows join the head axis, so that one mask serves every video without a copy.
            query, key, value = qkv.flatten(2, 3)  # (B, K*h, N, C/h)
            attn_mask = (bias + mask[:, None]).flatten(0, 1)[None]
        x = F.scaled_dot_product_attention(
            query, key, value, attn_mask=attn_mask.to(query.dtype).expand(len(query), -1, -1, -1)
        )
        x = x.reshape(b, k, self.num_heads, n, c // self.num_heads)
        return self.proj(x.transpose(2, 3).reshape(b, k, n, c))


class Mlp(nn.Module):
    """Linear, exact GELU, Linear."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """One attention block; `shift` is (0, 0, 0) for every other block."""

    def __init__(self, dim: int, num_heads: int, window: Size, shift: Size, mlp: int) -> None:
        super().__init__()
        self.window_size = window
        self.shift_size = shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, mlp)

    def _attend(self, x: Tensor) -> Tensor:
        size: Size = (x.shape[1], x.shape[2], x.shape[3])
        window, shift = clip_window(size, self.window_size, self.shift_size)
        pad = [-s % w for s, w in zip(size, window, strict=True)]
        x = F.pad(x, (0, 0, 0, pad[2], 0, pad[1], 0, pad[0]))
        padded: Size = (x.shape[1], x.shape[2], x.shape[3])
        mask = None
        if any(shift):
            x = torch.roll(x, [-s for s in shift], dims=(1, 2, 3))
            mask = shift_mask(padded, window, shift, like=x)
        x = merge_windows(self.attn(partition_windows(x, window), mask), window, padded)
        if any(shift):
            x = torch.roll(x, shift, dims=(1, 2, 3))
        return x[:, : size[0], : size[1], : size[2]]

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C) to the same shape."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    """Each 2 x 2 of positions becomes one with twice the channels; time is kept."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, H, W, C) to (B, D, ceil(H/2), ceil(W/2), 2C); odd sides are zero-padded."""
        x = F.pad(x, (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
        rows, columns = (0, 1, 0, 1), (0, 0, 1, 1)
        parts = [x[:, :, r::2, c::2] for r, c in zip(rows, columns, strict=True)]
        return self.reduction(self.norm(torch.cat(parts, dim=-1)))


class SwinStage(nn.Module):
    """Blocks at one resolution, alternately unshifted and shifted, then patch merging."""

    def __init__(self, config: SwinConfig, stage: int) -> None:
        super().__init__()
        dim, window = config.stage_dim(stage), config.window_size
        half: Size = (window[0] // 2, window[1] // 2, window[2] // 2)
        mlp = int(dim * config.mlp_ratio)
        self.blocks = nn.ModuleList(
            SwinBlock(dim, config.num_heads[stage], window, half if i % 2 else (0, 0, 0), mlp)
            for i in range(config.depths[stage])
        )
        last = stage == len(config.depths) - 1
        self.downsample = None if last else PatchMerging(dim)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class PatchEmbed(nn.Module):
    """One normed token for each patch of frames, rows and columns."""

    def __init__(self, patch_size: Size, dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv3d(3, dim, kernel_size=patch_size, stride=patch_size)
        self.norm = nn.LayerNorm(dim)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, 3, H, W) to (B, D, H', W', C); sizes that patches do not divide are padded."""
        x = frames.transpose(1, 2)  # (B, 3, T, H, W)
        t, h, w = (-s % p for s, p in zip(x.shape[2:], self.patch_size, strict=True))
        x = self.proj(F.pad(x, (0, w, 0, h, 0, t)))
        return self.norm(x.permute(0, 2, 3, 4, 1))


class VideoSwin(nn.Module):
    """Video Swin Transformer, pooled to one vector per video.

    Args:
        config: widths; `SwinConfig()` is Video Swin-T.

    References: Video Swin Transformer (arXiv 2106.13230); fragments as its input: FAST-VQA
        (arXiv 2207.02595).
    """

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.config = config
        self.out_dim = config.stage_dim(len(config.depths) - 1)
        self.patch_embed = PatchEmbed(config.patch_size, config.embed_dim)
        self.layers = nn.ModuleList(SwinStage(config, i) for i in range(len(config.depths)))
        self.norm = nn.LayerNorm(self.out_dim)

    def checkpointed_layers(self) -> Sequence[nn.Module]:
        """The modules worth recomputing in backward: every attention block."""
        return [module for module in self.modules() if isinstance(module, SwinBlock)]

    def forward(self, fragments: Tensor) -> Tensor:
        """The mean of the final normed feature map.

        Args:
            fragments: (B, T, 3, H, W), normalised; any sizes of at least one patch.

        Returns:
            (B, out_dim).
        """
        x = self.patch_embed(fragments)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).mean(dim=(1, 2, 3))

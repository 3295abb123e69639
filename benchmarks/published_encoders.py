"""The published encoders written out plainly, under the names that checkpoints use.

Shape legend: B videos, D x H x W positions, C channels, N positions of a window, K windows.

References: Video Swin Transformer (arXiv 2106.13230); SlowFast Networks (arXiv 1812.03982).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = tuple[int, int, int]

FAST_STEM = 8
FAST_INNER = (8, 16, 32, 64)
EXPANSION = 4
SLOW_EVERY = 4  # fast frames a slow frame


class TowerAttention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


class Mlp(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class TowerBlock(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = TowerAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Projection(nn.Module):
    """Holds a patch embedding's convolution under the name that checkpoints use."""

    def __init__(self, convolution: nn.Module, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.proj = convolution
        if norm is not None:
            self.norm = norm


class Tower(nn.Module):
    """BLIP's image tower: (B, 3, 224, 224) to (B, C), the normed CLS token."""

    def __init__(self, dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 197, dim))
        self.patch_embed = Projection(nn.Conv2d(3, dim, 16, stride=16))
        self.blocks = nn.ModuleList(TowerBlock(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, frame: Tensor) -> Tensor:
        x = self.patch_embed.proj(frame).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)[:, 0]


def windows(x: Tensor, window: Size) -> Tensor:
    b, d, h, w, c = x.shape
    wd, wh, ww = window
    x = x.view(b, d // wd, wd, h // wh, wh, w // ww, ww, c).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(-1, wd * wh * ww, c)


def unwindows(x: Tensor, window: Size, size: tuple[int, int, int, int]) -> Tensor:
    b, d, h, w = size
    wd, wh, ww = window
    x = x.view(b, d // wd, h // wh, w // ww, wd, wh, ww, -1).permute(0, 1, 4, 2, 5, 3, 6, 7)
    return x.reshape(b, d, h, w, -1)


def position_index(window: Size) -> Tensor:
    """(N, N) rows of the bias table, as checkpoints store it."""
    axes = [torch.arange(side) for side in window]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)  # (3, N)
    apart = (places[:, :, None] - places[:, None, :]).permute(1, 2, 0)
    apart = apart + torch.tensor([side - 1 for side in window])
    _, h, w = (2 * side - 1 for side in window)
    return (apart * torch.tensor([h * w, w, 1])).sum(-1)


def region_mask(size: Size, window: Size, shift: Size, device: torch.device) -> Tensor:
    """(K, N, N): 0 within a region of the shifted map, -100 across."""
    image = torch.zeros(1, *size, 1, device=device)
    count = 0
    for d in (slice(-window[0]), slice(-window[0], -shift[0]), slice(-shift[0], None)):
        for h in (slice(-window[1]), slice(-window[1], -shift[1]), slice(-shift[1], None)):
            for w in (slice(-window[2]), slice(-window[2], -shift[2]), slice(-shift[2], None)):
                image[:, d, h, w, :] = count
                count += 1
    regions = windows(image, window).squeeze(-1)
    apart = regions[:, None, :] - regions[:, :, None]
    return apart.masked_fill(apart != 0, -100.0)


class WindowAttention(nn.Module):
    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: Size) -> None:
        super().__init__()
        self.heads = heads
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.register_buffer("relative_position_index", position_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        k, n, c = x.shape
        q, key, v = self.qkv(x).reshape(k, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        logits = q * (c // self.heads) ** -0.5 @ key.transpose(-2, -1)
        index = self.relative_position_index[:n, :n].reshape(-1)
        bias = self.relative_position_bias_table[index].reshape(n, n, -1).permute(2, 0, 1)
        logits = logits + bias[None]
        if mask is not None:
            logits = logits.view(-1, len(mask), self.heads, n, n) + mask[None, :, None]
            logits = logits.view(-1, self.heads, n, n)
        return self.proj((logits.softmax(dim=-1) @ v).transpose(1, 2).reshape(k, n, c))


class SwinBlock(nn.Module):
    def __init__(self, dim: int, heads: int, window: Size, shift: Size) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim)

    def attend(self, x: Tensor, masks: dict[tuple[Size, Size], Tensor]) -> Tensor:
        b, d, h, w, _ = x.shape
        window, shift = clipped((d, h, w), self.window, self.shift)
        x = F.pad(x, (0, 0, 0, -w % window[2], 0, -h % window[1], 0, -d % window[0]))
        size = (x.shape[1], x.shape[2], x.shape[3])
        mask = None
        if any(shift):
            x = torch.roll(x, shifts=[-s for s in shift], dims=(1, 2, 3))
            if (window, shift) not in masks:  # once a stage, as published
                masks[window, shift] = region_mask(size, window, shift, x.device)
            mask = masks[window, shift]
        x = unwindows(self.attn(windows(x, window), mask), window, (b, *size))
        if any(shift):
            x = torch.roll(x, shifts=shift, dims=(1, 2, 3))
        return x[:, :d, :h, :w]

    def forward(self, x: Tensor, masks: dict[tuple[Size, Size], Tensor]) -> Tensor:
        x = x + self.attend(self.norm1(x), masks)
        return x + self.mlp(self.norm2(x))


def clipped(size: Size, window: Size, shift: Size) -> tuple[Size, Size]:
    """The window no larger than the map, and no shift along an axis that it spans."""
    triples = list(zip(size, window, shift, strict=True))
    a, b, c = (min(n, w) for n, w, _ in triples)
    e, f, g = (0 if n <= w else s for n, w, s in triples)
    return (a, b, c), (e, f, g)


class Merging(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[3] % 2, 0, x.shape[2] % 2))
        corners = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, dim=-1)))


class SwinStage(nn.Module):
    def __init__(self, dim: int, depth: int, heads: int, last: bool) -> None:
        super().__init__()
        window, half = (8, 7, 7), (4, 3, 3)
        self.blocks = nn.ModuleList(
            SwinBlock(dim, heads, window, half if i % 2 else (0, 0, 0)) for i in range(depth)
        )
        self.downsample = None if last else Merging(dim)

    def forward(self, x: Tensor) -> Tensor:
        masks: dict[tuple[Size, Size], Tensor] = {}
        for block in self.blocks:
            x = block(x, masks)
        return x if self.downsample is None else self.downsample(x)


class Swin(nn.Module):
    """Video Swin: (B, 3, T, H, W) to (B, C, D, H, W)."""

    def __init__(self, dim: int, depths: Sequence[int], heads: Sequence[int]) -> None:
        super().__init__()
        self.patch_embed = Projection(
            nn.Conv3d(3, dim, (2, 4, 4), stride=(2, 4, 4)), nn.LayerNorm(dim)
        )
        last = len(depths) - 1
        self.layers = nn.ModuleList(
            SwinStage(dim * 2**i, depths[i], heads[i], i == last) for i in range(last + 1)
        )
        self.norm = nn.LayerNorm(dim * 2**last)

    def forward(self, video: Tensor) -> Tensor:
        x = self.patch_embed.norm(self.patch_embed.proj(video).permute(0, 2, 3, 4, 1))
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).permute(0, 4, 1, 2, 3)


class Stem(nn.Module):
    def __init__(self, width: int, time: int) -> None:
        super().__init__()
        padding = (time // 2, 3, 3)
        self.conv = nn.Conv3d(3, width, (time, 7, 7), (1, 2, 2), padding, bias=False)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool3d(F.relu(self.norm(self.conv(x))), (1, 3, 3), (1, 2, 2), (0, 1, 1))


class Branch(nn.Module):
    def __init__(self, width: int, inner: int, stride: int, time: int) -> None:
        super().__init__()
        step = (1, stride, stride)
        padding = (time // 2, 0, 0)
        self.conv_a = nn.Conv3d(width, inner, (time, 1, 1), padding=padding, bias=False)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = nn.Conv3d(inner, inner, (1, 3, 3), step, (0, 1, 1), bias=False)
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = nn.Conv3d(inner, EXPANSION * inner, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(EXPANSION * inner)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm_a(self.conv_a(x)))
        x = F.relu(self.norm_b(self.conv_b(x)))
        return self.norm_c(self.conv_c(x))


class ResidualBlock(nn.Module):
    def __init__(self, width: int, inner: int, stride: int, time: int, first: bool) -> None:
        super().__init__()
        self.first = first
        if first:
            step = (1, stride, stride)
            self.branch1_conv = nn.Conv3d(width, EXPANSION * inner, 1, step, bias=False)
            self.branch1_norm = nn.BatchNorm3d(EXPANSION * inner)
        self.branch2 = Branch(width, inner, stride, time)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.branch1_norm(self.branch1_conv(x)) if self.first else x
        return F.relu(shortcut + self.branch2(x))


class ResidualStage(nn.Module):
    def __init__(self, width: int, inner: int, depth: int, stride: int, time: int) -> None:
        super().__init__()
        self.res_blocks = nn.ModuleList(
            ResidualBlock(EXPANSION * inner if i else width, inner, 1 if i else stride, time, not i)
            for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.res_blocks:
            x = block(x)
        return x


class Fusion(nn.Module):
    """The lateral connection: the fast features, strided in time, join the slow ones."""

    def __init__(self, fast: int) -> None:
        super().__init__()
        every = (SLOW_EVERY, 1, 1)
        self.conv_fast_to_slow = nn.Conv3d(fast, 2 * fast, (7, 1, 1), every, (3, 0, 0), bias=False)
        self.norm = nn.BatchNorm3d(2 * fast)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        return torch.cat([slow, F.relu(self.norm(self.conv_fast_to_slow(fast)))], dim=1)


class TwoPathways(nn.Module):
    def __init__(self, slow: nn.Module, fast: nn.Module, fused: int | None) -> None:
        super().__init__()
        self.multipathway_blocks = nn.ModuleList([slow, fast])
        self.multipathway_fusion = None if fused is None else Fusion(fused)

    def forward(self, slow: Tensor, fast: Tensor) -> tuple[Tensor, Tensor]:
        slow = self.multipathway_blocks[0](slow)
        fast = self.multipathway_blocks[1](fast)
        if self.multipathway_fusion is not None:
            slow = self.multipathway_fusion(slow, fast)
        return slow, fast


class SlowFast(nn.Module):
    """SlowFast R50 8x8, both pathways; only the fast one is returned, one vector a frame."""

    def __init__(self, stem: int, slow_inner: Sequence[int], depths: Sequence[int]) -> None:
        super().__init__()
        slow, fast = stem, FAST_STEM
        stages: list[nn.Module] = [TwoPathways(Stem(slow, 1), Stem(fast, 5), fast)]
        for i, depth in enumerate(depths):
            stride = 2 if i else 1
            joined = slow + 2 * fast
            slow_time = 3 if i >= 2 else 1
            slow_stage = ResidualStage(joined, slow_inner[i], depth, stride, slow_time)
            fast_stage = ResidualStage(fast, FAST_INNER[i], depth, stride, 3)
            slow, fast = EXPANSION * slow_inner[i], EXPANSION * FAST_INNER[i]
            stages.append(TwoPathways(slow_stage, fast_stage, fast if i < 3 else None))
        self.feature_extraction = nn.ModuleList(stages)
        self.position_embedding = nn.Embedding(2000, fast)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:
        for stage in self.feature_extraction:
            slow, fast = stage(slow, fast)
        slow.mean(dim=(2, 3, 4))  # pooled, and never read
        features = fast.mean(dim=(3, 4)).transpose(1, 2)
        return features + self.position_embedding.weight[: features.shape[1]]

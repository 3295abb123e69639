"""Motion quality: the fast pathway of SlowFast.

SlowFast's lateral connections lead from the fast pathway to the slow one only, so the fast
features do not depend on the slow pathway, which is never built.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class FastConfig:
    """Widths of a fast pathway; the defaults are that of SlowFast R50 8x8.

    Args:
        stem_width: channels after the stem.
        inner_widths: bottleneck channels of each stage.
        depths: blocks of each stage.
        expansion: outer over inner channels of a block.
        max_frames: rows of the learned position embedding.

    Raises:
        ValueError: `inner_widths` and `depths` differ in length.
    """

    stem_width: int = 8
    inner_widths: tuple[int, ...] = (8, 16, 32, 64)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    expansion: int = 4
    max_frames: int = 2000

    def __post_init__(self) -> None:
        for name in ("inner_widths", "depths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.inner_widths) != len(self.depths):
            raise ValueError(
                f"inner_widths {self.inner_widths} and depths {self.depths} differ in length; "
                "give one entry of each per stage"
            )


class FastStem(nn.Module):
    """Convolution over 5 frames and 7 x 7 pixels, then max-pooling: a quarter of each side."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            3, width, kernel_size=(5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3), bias=False
        )
        self.norm = nn.BatchNorm3d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) to (B, width, T, H/4, W/4)."""
        x = F.relu(self.norm(self.conv(x)))
        return F.max_pool3d(x, kernel_size=(1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))


class FastBottleneck(nn.Module):
    """Bottleneck: conv_a over 3 frames, conv_b over 3 x 3 pixels, conv_c pointwise."""

    def __init__(self, in_width: int, inner_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.branch1_conv: nn.Conv3d | None = None
        self.branch1_norm: nn.BatchNorm3d | None = None
        spatial = (1, stride, stride)
        if in_width != out_width or stride != 1:
            self.branch1_conv = nn.Conv3d(in_width, out_width, 1, stride=spatial, bias=False)
            self.branch1_norm = nn.BatchNorm3d(out_width)
        self.conv_a = nn.Conv3d(in_width, inner_width, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.norm_a = nn.BatchNorm3d(inner_width)
        self.conv_b = nn.Conv3d(
            inner_width, inner_width, (1, 3, 3), stride=spatial, padding=(0, 1, 1), bias=False
        )
        self.norm_b = nn.BatchNorm3d(inner_width)
        self.conv_c = nn.Conv3d(inner_width, out_width, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(out_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, T, H, W) to (B, out, T, H/stride, W/stride)."""
        shortcut = x
        if self.branch1_conv is not None and self.branch1_norm is not None:
            shortcut = self.branch1_norm(self.branch1_conv(x))
        x = F.relu(self.norm_a(self.conv_a(x)))
        x = F.relu(self.norm_b(self.conv_b(x)))
        return F.relu(shortcut + self.norm_c(self.conv_c(x)))


class FastPathway(nn.Module):
    """SlowFast's fast pathway with one vector per frame and learned frame positions.

    Args:
        config: widths; `FastConfig()` is the fast pathway of SlowFast R50 8x8.

    References: SlowFast Networks (arXiv 1812.03982), table 1 and section 3.2.
    """

    def __init__(self, config: FastConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = FastStem(config.stem_width)
        self.stages = nn.ModuleList()
        width = config.stem_width
        for stage, (inner, depth) in enumerate(
            zip(config.inner_widths, config.depths, strict=True)
        ):
            blocks = nn.ModuleList()
            for i in range(depth):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(FastBottleneck(width, inner, inner * config.expansion, stride))
                width = inner * config.expansion
            self.stages.append(blocks)
        self.out_dim = width
        self.position_embedding = nn.Embedding(config.max_frames, width)

    def checkpointed_layers(self) -> Sequence[nn.Module]:
        """The modules worth recomputing in backward: every bottleneck block."""
        return [module for module in self.modules() if isinstance(module, FastBottleneck)]

    def forward(self, fast: Tensor) -> Tensor:
        """The spatial mean of each frame's features plus that frame's position.

        Args:
            fast: (B, T, 3, H, W), normalised, T at most `config.max_frames`.

        Returns:
            (B, T, out_dim).

        Raises:
            ValueError: T exceeds `config.max_frames`.
        """
        num_frames = fast.shape[1]
        if num_frames > self.config.max_frames:
            raise ValueError(
                f"the fast clip has {num_frames} frames, this model knows positions of at most "
                f"{self.config.max_frames}; sample fewer frames or raise max_frames"
            )
        x = self.stem(fast.transpose(1, 2))  # (B, C, T, H/4, W/4)
        for stage in self.stages:
            for block in stage.children():
                x = block(x)
        x = x.mean(dim=(3, 4)).transpose(1, 2)  # (B, T, C)
        return x + self.position_embedding(torch.arange(num_frames, device=x.device))

"""The three encoders: normalised frames (B, T, 3, H, W) in, feature vectors out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from torch import nn

from aigv_reward.encoders.slowfast import FastConfig, FastPathway
from aigv_reward.encoders.swin3d import SwinConfig, VideoSwin, WindowAttention
from aigv_reward.lazy_names import lazy_names

if TYPE_CHECKING:
    from aigv_reward.encoders.semantic import SemanticTower

__all__ = [
    "FastConfig",
    "FastPathway",
    "FrameToken",
    "SemanticTower",
    "SwinConfig",
    "VideoSwin",
    "init_encoder_weights",
]

FrameToken = Literal["cls", "pooled"]
"""Which output of a semantic tower stands for a frame."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, {"SemanticTower": "aigv_reward.encoders.semantic"})


def init_encoder_weights(module: nn.Module) -> None:
    """Initialise the weights that `module` itself holds, for training from scratch.

    Truncated normal of std 0.02 for linear layers, embeddings and attention's bias tables;
    Kaiming for convolutions; identity for norms. Suits `nn.Module.apply` and
    `PreTrainedModel._init_weights`; a semantic tower initialises itself.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.LayerNorm | nn.BatchNorm3d):
        nn.init.ones_(module.weight)
    elif isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)
    if isinstance(module, nn.Linear | nn.Conv3d | nn.LayerNorm | nn.BatchNorm3d):
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    if isinstance(module, nn.BatchNorm3d):
        # Through nn.init, which transformers guards so that loaded statistics survive.
        for buffer, fill in (
            (module.running_mean, 0.0),
            (module.running_var, 1.0),
            (module.num_batches_tracked, 0.0),
        ):
            if buffer is not None:
                nn.init.constant_(buffer, fill)

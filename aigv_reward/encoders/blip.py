"""BLIP's image tower, which transformers computes eagerly and whole."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from transformers import BlipVisionConfig, BlipVisionModel
from transformers.models.blip.modeling_blip import BlipAttention, BlipEncoderLayer


class _Attention(BlipAttention):
    """The same attention by `scaled_dot_product_attention`; it keeps no matrix of weights."""

    def forward(  # type: ignore[override]
        self, hidden_states: Tensor, *, queries: int | None = None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        """Tokens (B, queries, C) of the first `queries` positions (None: all) of (B, N, C)."""
        qkv = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, self.head_dim))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, N, head_dim) each
        attended = F.scaled_dot_product_attention(
            query[:, :, :queries],
            key,
            value,
            dropout_p=self.dropout.p if self.training else 0.0,
            scale=self.scale,
        )
        return self.projection(attended.transpose(1, 2).flatten(2)), None


class BlipLastLayer(BlipEncoderLayer):
    """The last layer for the frame's token alone: nothing reads what the patches become there."""

    def forward(self, hidden_states: Tensor, **kwargs: Any) -> Tensor:
        """(B, 1, C), position 0, of (B, N, C)."""
        attended, _ = self.self_attn(self.layer_norm1(hidden_states), queries=1)
        token = hidden_states[:, :1] + attended
        return token + self.mlp(self.layer_norm2(token))


def build_blip(config: BlipVisionConfig) -> BlipVisionModel:
    """BLIP's image tower with random weights, whose last hidden state is (B, 1, C): the CLS token.

    Parameters and their names are those of `BlipVisionModel`, and so are the tokens that it
    returns, to the rounding.
    """
    tower = BlipVisionModel(config)
    for layer in tower.encoder.layers:
        layer.self_attn.__class__ = _Attention  # the same parameters, computed another way
    for layer in tower.encoder.layers[-1:]:
        layer.__class__ = BlipLastLayer
    tower._no_split_modules = [*(tower._no_split_modules or ()), BlipLastLayer.__name__]
    return tower

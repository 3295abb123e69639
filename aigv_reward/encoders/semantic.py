"""Semantic quality: an image tower of transformers applied to key frames."""

import copy
import inspect
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn
from transformers import AutoModel, BlipVisionConfig, PretrainedConfig, PreTrainedModel

from aigv_reward.encoders import FrameToken
from aigv_reward.encoders.blip import build_blip

_CLS_PARAMETERS = ("cls_token", "class_embedding")


def build_tower(config: PretrainedConfig) -> PreTrainedModel:
    """The image tower of `config`, with random weights, in the default dtype.

    `BlipVisionModel` is built by name because `AutoModel` does not know its configuration.

    Raises:
        ValueError: transformers has no model for `config`.
    """
    if isinstance(config, BlipVisionConfig):
        # A model that holds this tower may ask all its parts for sdpa; BLIP's class refuses it.
        config = copy.deepcopy(config)
        config._attn_implementation = "eager"
        return build_blip(config)
    return AutoModel.from_config(config, dtype=torch.get_default_dtype())


def _token_width(config: PretrainedConfig, frame_token: FrameToken) -> int:
    """Channels of the named token, found by asking a tower that has shapes but no storage."""
    size = config.image_size
    height, width = (size, size) if isinstance(size, int) else size
    with torch.device("meta"), torch.no_grad():
        tower = build_tower(config).eval()
        output = tower(pixel_values=torch.empty(1, 3, height, width))
    if frame_token == "pooled":
        if output.pooler_output is None:
            raise ValueError(
                f"{type(tower).__name__} has no pooled output with this configuration; give it a "
                "pooling head, or use frame_token='cls' if it has a CLS token"
            )
        return output.pooler_output.flatten(1).shape[-1]
    if not any(name.split(".")[-1] in _CLS_PARAMETERS for name, _ in tower.named_parameters()):
        raise ValueError(
            f"{type(tower).__name__} has no CLS token (no parameter named "
            f"{' or '.join(_CLS_PARAMETERS)}); use frame_token='pooled'"
        )
    return output.last_hidden_state.shape[-1]


class SemanticTower(nn.Module):
    """One token per key frame from an image tower.

    Args:
        tower_config: configuration of the tower: a `BlipVisionConfig`, or any that `AutoModel`
            builds into a model that takes `pixel_values` alone (SigLIP, DINOv2, ViT, CLIP).
        frame_token: "cls", position 0 of the last hidden state, after the tower's final norm
            where the last hidden state is normed (BLIP, DINOv2, ViT; CLIP norms its pooled
            output only); or "pooled", the tower's pooled output.

    Raises:
        ValueError: `frame_token` is unknown, or the tower does not have that token.
    """

    def __init__(self, tower_config: PretrainedConfig, frame_token: FrameToken) -> None:
        super().__init__()
        if frame_token not in get_args(FrameToken):
            raise ValueError(
                f"unknown frame_token {frame_token!r}; use {' or '.join(get_args(FrameToken))}"
            )
        self.frame_token = frame_token
        self.out_dim = _token_width(tower_config, frame_token)
        self.tower = build_tower(tower_config)
        # Without it BLIP gives frames of another size the positions of the wrong patches.
        known = inspect.signature(self.tower.forward).parameters
        name = "interpolate_pos_encoding"
        self._tower_arguments = {name: True} if name in known else {}

    def checkpointed_layers(self) -> Sequence[nn.Module]:
        """The modules worth recomputing in backward: the tower's encoder layers."""
        lists = [list(m) for m in self.tower.modules() if isinstance(m, nn.ModuleList)]
        return max(lists, key=len, default=[])

    def forward(self, key_frames: Tensor) -> Tensor:
        """The named token of each key frame.

        Args:
            key_frames: (B, N, 3, S, S), normalised. Where S differs from the configured image
                size, the tower interpolates its position embeddings.

        Returns:
            (B, N, out_dim).
        """
        batch = key_frames.shape[:2]
        output = self.tower(
            pixel_values=key_frames.flatten(0, 1), **self._tower_arguments
        )  # tokens (B*N, positions, C)
        token = (
            output.pooler_output.flatten(1)  # convolutional towers keep a 1 x 1 picture
            if self.frame_token == "pooled"
            else output.last_hidden_state[:, 0]
        )
        return token.unflatten(0, batch)

"""The quality model at published widths with random weights, made in seconds."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from aigv_reward import AIGVRewardConfig, AIGVRewardModel
from aigv_reward.model.configuration_aigv_reward import (
    PUBLISHED_LORA,
    PUBLISHED_SEMANTIC,
    PUBLISHED_TEXT,
)
from aigv_reward.video.indices import FrameSampling
from aigv_reward.views import ViewSampling

LAYERS = 2
"""Layers of the language model that have weights; the published one has 32."""
PUBLISHED_LAYERS: int = PUBLISHED_TEXT["num_hidden_layers"]

SMALL_SAMPLING = ViewSampling(
    key_frames=FrameSampling(2, stride=2, short="wrap"),
    key_size=64,
    fragments=None,
    grid=2,
    patch=32,
    fast=FrameSampling(4),
    fast_size=64,
    interpolation="nearest",
)

_BLOCK = 1_000_003  # numbers that are drawn; a prime, so that no two rows of a weight are alike


def config(*, small: bool) -> AIGVRewardConfig:
    """The default configuration, the language model cut to two layers; `small` for a smoke test."""
    text: dict[str, Any] = {**PUBLISHED_TEXT, "num_hidden_layers": LAYERS}
    if not small:
        return AIGVRewardConfig(text_config=text, lora=PUBLISHED_LORA)
    tiny = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32}
    return AIGVRewardConfig(
        text_config={**text, **tiny, "intermediate_size": 64},
        semantic_config={**PUBLISHED_SEMANTIC, **tiny, "intermediate_size": 128},
        technical_config={"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)},
        motion_config={"depths": (1, 1, 1, 1)},
        sampling=SMALL_SAMPLING.to_dict(),
        lora=PUBLISHED_LORA,
    )


def build_model(*, small: bool, device: torch.device) -> AIGVRewardModel:
    """A frozen model in eval mode with random fp32 weights."""
    with torch.device("meta"):
        model = AIGVRewardModel(config(small=small))
    fill(model, device)
    return model.eval().requires_grad_(False)


def fill(model: nn.Module, device: torch.device) -> None:
    """Give a model that was built on the meta device storage and weights.

    One block of random numbers is copied over and over, each weight scaled by its fan-in so that
    activations stay of the order of one: drawing a billion numbers would take most of a minute.
    """
    model.to_empty(device=device)
    block = torch.empty(_BLOCK).uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
    block = block.to(device)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            _fill(name, tensor, block)
    restore_frequencies(model, device)


def restore_frequencies(model: nn.Module, device: torch.device) -> None:
    """Compute the rotary frequencies again: buffers that are no weights."""
    for module in list(model.modules()):
        if isinstance(module, LlamaRotaryEmbedding):
            fresh = LlamaRotaryEmbedding(module.config).to(device)
            module.inv_freq, module.original_inv_freq = fresh.inv_freq, fresh.original_inv_freq


def _fill(name: str, tensor: Tensor, block: Tensor) -> None:
    if not tensor.is_floating_point():
        tensor.zero_()
    elif tensor.ndim < 2:
        ones = name.endswith(("weight", "running_var"))
        tensor.fill_(1.0 if ones else 0.0)
    else:
        flat = tensor.view(-1)
        for start in range(0, len(flat), _BLOCK):
            part = flat[start : start + _BLOCK]
            part.copy_(block[: len(part)])
        bias = "bias_table" in name
        flat.mul_(0.02 if bias else math.sqrt(3.0 / tensor[0].numel()))


def deepened(model: AIGVRewardModel, layers: int) -> AIGVRewardModel:
    """A model that applies the language model's layers again and again, `layers` in all.

    The cost of the published depth in the memory of two layers; the original is left as it is.
    """
    memo = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    deep = copy.deepcopy(model, memo)  # shares the weights
    stack = deep.llm.base_model.layers
    assert isinstance(stack, nn.ModuleList)
    deep.llm.base_model.layers = nn.ModuleList(stack[i % len(stack)] for i in range(layers))
    deep.llm.config.num_hidden_layers = layers
    return deep

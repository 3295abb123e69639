"""The published model on the meta device: parameter counts and the keys of its weights."""

import re
from collections import Counter

import pytest
import torch
from torch import nn

from aigv_reward.model import AIGVRewardModel
from aigv_reward.model.key_mapping import rename_published_keys
from aigv_reward.model.published_config import published_config


@pytest.fixture(scope="module")
def published():
    with torch.device("meta"):
        return AIGVRewardModel(published_config())


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts(published):
    """Llama: 2 * 32001 * 4096 + 32 * (4 * 4096^2 + 3 * 4096 * 11008 + 2 * 4096) + 4096."""
    lora = 32 * 2 * 2 * 8 * 4096
    assert parameters(published.llm) - lora == 6_738_423_808
    assert parameters(published.semantic) == 303_301_632  # ViT-L/16 without its classifier
    # Video Swin-T, 28.2 million with the K400 head of 768 * 400 + 400
    assert parameters(published.technical) == 28_158_070 - 307_600
    positions = 2000 * 256
    assert (parameters(published.motion) - positions) / 1e6 == pytest.approx(0.51, abs=0.08)
    assert parameters(published.semantic_projection) == 1025 * 4096
    assert parameters(published.technical_projection) == 769 * 4096
    assert parameters(published.motion_projection) == 257 * 4096 + 4097 * 4096


def test_only_overall_is_trained(published):
    assert published.config.trained == ["overall"]
    assert published.config.dimensions == ("technical", "motion", "semantic", "overall")
    assert published.config.level_values == [1, 2, 3, 4, 5]
    assert published.config.logit_divisor == 100


def blip() -> list[str]:
    layer = ["norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]
    keys = ["cls_token", "pos_embed", *both(["patch_embed.proj", "norm"])]
    for i in range(24):
        keys += [f"blocks.{i}.{key}" for key in both(layer)]
    return [f"blip.{key}" for key in keys]


def swin() -> list[str]:
    block = ["norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]
    tables = ["attn.relative_position_bias_table", "attn.relative_position_index"]
    keys = both(["patch_embed.proj", "patch_embed.norm", "norm"])
    for stage, depth in enumerate((2, 2, 6, 2)):
        for i in range(depth):
            keys += [f"layers.{stage}.blocks.{i}.{key}" for key in both(block) + tables]
        if stage < 3:
            merge = ["reduction.weight", *both(["norm"])]
            keys += [f"layers.{stage}.downsample.{key}" for key in merge]
    return [f"swin3d.{key}" for key in keys]


def fast() -> list[str]:
    root = "slowfast.feature_extraction"
    keys = [f"{root}.0.multipathway_blocks.1.{key}" for key in unit("conv", "norm")]
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for i in range(depth):
            block = f"{root}.{stage}.multipathway_blocks.1.res_blocks.{i}"
            keys += [f"{block}.{key}" for key in unit("branch1_conv", "branch1_norm") if i == 0]
            for part in "abc":
                names = unit(f"branch2.conv_{part}", f"branch2.norm_{part}")
                keys += [f"{block}.{key}" for key in names]
    return [*keys, "slowfast.position_embedding.weight"]


def llama() -> list[str]:
    layer = [f"self_attn.{name}_proj.weight" for name in "qkvo"]
    layer += [f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")]
    layer += ["input_layernorm.weight", "post_attention_layernorm.weight"]
    layer += [f"self_attn.{p}_proj.lora_{m}.default.weight" for p in "qv" for m in "AB"]
    keys = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    keys += [f"model.layers.{i}.{key}" for i in range(32) for key in layer]
    return [f"llm_model.base_model.model.{key}" for key in keys]


def both(names: list[str]) -> list[str]:
    return [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]


def unit(conv: str, norm: str) -> list[str]:
    statistics = [f"{norm}.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")]
    return [f"{conv}.weight", *both([norm]), *statistics]


def test_the_published_layout_is_the_whole_model(published):
    """Every key of method.md has a place, and no weight of the model is left over."""
    projections = ["finetune_blip_proj", "finetune_proj", "slowfast_proj.0", "slowfast_proj.2"]
    keys = blip() + swin() + fast() + llama() + both(projections)
    renamed, dropped = rename_published_keys(dict.fromkeys(keys, torch.empty(0)))
    assert set(renamed) == set(published.state_dict())
    assert all(key.endswith("relative_position_index") for key in dropped)
    parts = Counter(re.split(r"[._]", key)[0] for key in published.state_dict())
    assert parts == Counter(renamed_part(key) for key in renamed)
    assert len(renamed) == 24 * 12 + 6 + 12 * 13 + 3 * 3 + 6 + 1 + 53 * 6 + 32 * 13 + 3 + 8


def renamed_part(key: str) -> str:
    return re.split(r"[._]", key)[0]

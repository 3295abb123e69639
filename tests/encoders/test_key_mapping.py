import re

import pytest
import torch

from aigv_reward.model.key_mapping import rename_published_keys

Q_PROJ = "llm_model.base_model.model.model.layers.0.self_attn.q_proj"


def test_every_published_key_is_renamed_or_dropped(published):
    prefixes = (
        *("semantic.tower.", "technical.", "motion.", "llm."),
        *("semantic_projection.", "technical_projection.", "motion_projection."),
    )
    assert all(key.startswith(prefixes) for key in published.renamed)
    assert len(published.renamed) + len(published.dropped) == len(published.state)


def test_only_what_never_reaches_the_score_is_dropped(published):
    reason = re.compile(r"multipathway_blocks\.0\.|multipathway_fusion\.|relative_position_index$")
    assert published.dropped
    assert all(reason.search(key) for key in published.dropped)


def test_tensors_are_passed_through_unchanged(published):
    key = "swin3d.layers.0.blocks.1.attn.qkv.weight"
    assert published.renamed["technical.layers.0.blocks.1.attn.qkv.weight"] is published.state[key]


@pytest.mark.parametrize("adapter", ["lora_A.weight", "lora_A.default.weight"])
@pytest.mark.parametrize("base", ["q_proj.weight", "q_proj.base_layer.weight"])
def test_both_peft_namings_give_one_name(base, adapter):
    stem = Q_PROJ.removesuffix("q_proj")
    state = {f"{stem}{base}": torch.zeros(2), f"{stem}q_proj.{adapter}": torch.ones(2)}
    renamed, _ = rename_published_keys({**state, f"{stem}k_proj.weight": torch.ones(1)})
    target = "llm.model.layers.0.self_attn"
    assert set(renamed) == {
        f"{target}.q_proj.base_layer.weight",
        f"{target}.q_proj.lora_A.default.weight",
        f"{target}.k_proj.weight",
    }


def test_data_parallel_prefix_is_removed(published):
    renamed, dropped = rename_published_keys(
        {f"module.{key}": value for key, value in published.state.items()}
    )
    assert renamed == published.renamed
    assert dropped == [f"module.{key}" for key in published.dropped]


def test_unknown_keys_keep_their_names():
    state = {"classifier.weight": torch.zeros(1), "swin4d.norm.weight": torch.zeros(1)}
    assert rename_published_keys(state) == (state, [])


@pytest.mark.parametrize(
    "key",
    [
        "llm_model.base_model.model.model.layers.0.self_attn.rotary_emb.inv_freq",
        "llm_model.base_model.model.model.position_ids",
        "slowfast.feature_extraction.6.proj.weight",
    ],
)
def test_recomputed_buffers_and_the_head_are_dropped(key):
    assert rename_published_keys({key: torch.zeros(1)}) == ({}, [key])


def test_two_keys_with_one_name_are_an_error():
    state = {
        f"{Q_PROJ}.weight": torch.zeros(1),
        f"{Q_PROJ}.base_layer.weight": torch.zeros(1),
        f"{Q_PROJ}.lora_A.default.weight": torch.zeros(1),
    }
    with pytest.raises(ValueError, match=r"q_proj\.weight' and .*base_layer\.weight' are both"):
        rename_published_keys(state)


def test_a_key_with_and_without_the_prefix_is_an_error():
    state = {"finetune_proj.bias": torch.zeros(1), "module.finetune_proj.bias": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"'finetune_proj\.bias' with and without the prefix"):
        rename_published_keys(state)

"""Which language models are accepted; the others are refused when they are built."""

import pytest
import torch
from accelerate import dispatch_model
from torch import nn
from transformers import AutoConfig

from aigv_reward.regressor import check_language_model, probe
from aigv_reward.regressor.llm import build_language_model
from aigv_reward.regressor.probe import level_rows


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("llama", {"num_key_value_heads": 1}),
        ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32}),
        ("gpt_neox", {}),
        ("falcon", {}),
        ("deepseek_v3", {"num_key_value_heads": 4, "n_routed_experts": 8, "n_group": 2}),
        (
            "phi3",
            {
                "original_max_position_embeddings": 64,
                "rope_scaling": {
                    "type": "longrope",
                    "short_factor": [1.0] * 4,
                    "long_factor": [2.0] * 4,
                },
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_accepted(name, values, llm_config):
    check_language_model(llm_config(name, **values))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gemma2", {"num_key_value_heads": 2, "head_dim": 8}),  # soft cap
        ("cohere", {}),  # scaled logits
        ("granite", {"logits_scaling": 8.0}),
        ("rwkv", {}),
        ("mpt", {}),  # ALiBi
        ("bert", {}),  # not causal
        ("mistral", {"sliding_window": 3}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_answers_together_than_alone(name, values, llm_config):
    message = f"'{name}' does not answer packed questions as it answers them alone"
    with pytest.raises(ValueError, match=message):
        build_language_model(llm_config(name, **values))


@pytest.mark.parametrize("name", ["bloom", "mamba"])
def test_no_4d_mask(name, llm_config):
    with pytest.raises(ValueError, match=f"'{name}' cannot be asked packed questions: it fails on"):
        build_language_model(llm_config(name))


@pytest.mark.parametrize("name", ["t5", "blip_text_model", "siglip_vision_model"])
def test_no_causal_language_model(name):
    with pytest.raises(ValueError, match=f"transformers has no causal language model '{name}'"):
        build_language_model(AutoConfig.for_model(name))


def test_no_small_copy(llm_config):
    config = llm_config("llama")
    config.hidden_act = "no such activation"
    with pytest.raises(ValueError, match=r"no small copy of the language model 'llama' .*KeyError"):
        build_language_model(config)


@pytest.mark.parametrize("attention", ["flash_attention_2", "flash_attention_3", "flex_attention"])
def test_attention_without_4d_masks_is_refused(attention, llm_config):
    config = llm_config("llama")
    config._attn_implementation_internal = attention
    with pytest.raises(ValueError, match=f"'{attention}' takes no 4-D mask.*'sdpa' or 'eager'"):
        build_language_model(config)


def test_the_check_is_blind_to_its_surroundings(llm_config, monkeypatch):
    """Built in bf16 on the meta device, as from_pretrained does, and under any random state."""
    config = llm_config("llama", vocab_size=63)
    monkeypatch.setattr(probe, "_accepted", set())
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    state = torch.get_rng_state()
    try:
        with torch.device("meta"):
            check_language_model(config)
    finally:
        torch.set_default_dtype(default)
    assert len(probe._accepted) == 1
    assert torch.equal(torch.get_rng_state(), state)
    assert config.hidden_size == 32  # the caller's config stays as it was


def test_built_in_the_default_dtype_whatever_the_config_names(llm_config):
    config = llm_config("llama")
    config.dtype = torch.float16
    assert {p.dtype for p in build_language_model(config).parameters()} == {torch.float32}


@torch.no_grad()
def test_level_rows_are_the_logits_of_the_level_words(llm_config, llm):
    model = llm(llm_config("phi"))
    assert model.get_output_embeddings().bias is not None
    model.get_output_embeddings().bias.normal_()
    hidden = torch.randn(2, 3, 32)
    expected = model.get_output_embeddings()(hidden)[..., [5, 1, 4]]
    torch.testing.assert_close(level_rows(model, hidden, [5, 1, 4]), expected)


@torch.no_grad()
def test_level_rows_of_an_offloaded_head(llm_config, llm, tmp_path):
    model = llm(llm_config("llama"))
    hidden = torch.randn(2, 32)
    expected = level_rows(model, hidden, [5, 1, 4])
    placed = {"model": "cpu", "lm_head": "disk"}
    model = dispatch_model(model, placed, offload_dir=tmp_path, main_device="cpu")
    assert isinstance(model.lm_head, nn.Linear)
    assert model.lm_head.weight.is_meta
    torch.testing.assert_close(level_rows(model, hidden, [5, 1, 4]), expected)

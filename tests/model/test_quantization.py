"""8 and 4 bits for the language model, by bitsandbytes."""

import bitsandbytes
import pytest
import torch
from torch import nn
from transformers import BitsAndBytesConfig

from aigv_reward.model import AIGVRewardModel

BITS = {
    "8 bit": {"load_in_8bit": True},
    "4 bit": {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_compute_dtype": torch.float32,
    },
}
KINDS = (bitsandbytes.nn.Linear8bitLt, bitsandbytes.nn.Linear4bit)


# On processors with bf16 instructions bitsandbytes packs whole blocks of 64 weights of 32 rows.
WIDE = {"hidden_size": 64, "intermediate_size": 128}


@pytest.fixture(scope="module")
def model(tiny, lively, llama):
    return lively(tiny(text_config=llama | WIDE))


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(params=BITS.values(), ids=list(BITS))
def quantized(request, saved):
    config = BitsAndBytesConfig(**request.param)
    model = AIGVRewardModel.from_pretrained(saved, quantization_config=config)
    assert config.llm_int8_skip_modules is None  # the caller's object
    return model


def test_exactly_the_layers_of_the_language_model_are_quantised(quantized):
    linear = {n: m for n, m in quantized.named_modules() if isinstance(m, nn.Linear)}
    small = {name for name, module in linear.items() if isinstance(module, KINDS)}
    expected = {n for n in linear if n.startswith("llm.model.layers.") and "lora_" not in n}
    assert small == expected
    assert len(small) == 3 * 7
    kept = [p for n, p in quantized.named_parameters() if n.rpartition(".")[0] not in small]
    assert {parameter.dtype for parameter in kept} == {torch.float32}


def test_scores_and_gradients(quantized, model, views):
    inputs = [view.clone().requires_grad_() for view in views]
    scores = quantized(*inputs).scores
    torch.testing.assert_close(scores.detach(), model(*views).scores.detach(), rtol=0, atol=0.5)
    for grad in torch.autograd.grad(scores.sum(), inputs):
        assert grad.isfinite().all()
        assert grad.abs().sum() > 0


@torch.no_grad()
def test_saved_and_loaded(quantized, views, tmp_path):
    quantized.save_pretrained(tmp_path)
    loaded = AIGVRewardModel.from_pretrained(tmp_path)
    assert any(isinstance(module, KINDS) for module in loaded.modules())
    assert isinstance(loaded.llm.lm_head, nn.Linear)
    assert not isinstance(loaded.llm.lm_head, KINDS)
    torch.testing.assert_close(loaded(*views).scores, quantized(*views).scores, rtol=0, atol=1e-5)


def test_lora_cannot_be_merged_into_quantised_weights(quantized):
    with pytest.raises(ValueError, match=r"q_proj is quantised and LoRA cannot be merged into it"):
        quantized.merge_lora()
    assert quantized.config.lora is not None


def test_modules_of_the_caller_are_skipped_too(saved):
    config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=["down_proj"])
    model = AIGVRewardModel.from_pretrained(saved, quantization_config=config)
    layer = model.llm.model.layers[0].mlp
    assert not isinstance(layer.down_proj, KINDS)
    assert isinstance(layer.up_proj, KINDS)
    assert not isinstance(model.semantic_projection, KINDS)


def test_only_bitsandbytes(saved):
    with pytest.raises(ValueError, match=r"quantization_config is a dict; .* BitsAndBytesConfig"):
        AIGVRewardModel.from_pretrained(saved, quantization_config={"load_in_8bit": True})

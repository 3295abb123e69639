"""LoRA in the language model."""

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from aigv_reward.model import AIGVRewardModel


def adapters(model):
    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]


@torch.no_grad()
def test_a_fresh_model_equals_its_base(tiny, views):
    model = AIGVRewardModel(tiny()).eval()
    assert len(adapters(model)) == 2 * 3  # q_proj and v_proj of 3 layers
    for module in adapters(model):
        assert module.lora_B["default"].weight.eq(0).all()
        assert module.lora_A["default"].weight.ne(0).any()
        assert module.scaling["default"] == 2.0
    base = AIGVRewardModel(tiny(lora=None)).eval()
    weights = {
        name.replace(".base_layer.", "."): weight
        for name, weight in model.state_dict().items()
        if "lora_" not in name
    }
    base.load_state_dict(weights, strict=True)
    assert torch.equal(base(*views).scores, model(*views).scores)


def test_only_adapters_of_the_language_model_are_trainable(model):
    trainable = {name for name, p in model.llm.named_parameters() if p.requires_grad}
    assert trainable == {name for name, _ in model.llm.named_parameters() if "lora_" in name}


@torch.no_grad()
def test_merging_keeps_the_scores_and_removes_the_adapters(model, views, tmp_path):
    before = model(*views).scores
    with_base_weights = [
        module.weight.clone() for module in adapters(model) if module.lora_B["default"].weight.any()
    ]
    assert with_base_weights
    assert model.merge_lora() is model
    assert not adapters(model)
    assert not any("lora" in name or "base_layer" in name for name in model.state_dict())
    assert model.config.lora is None
    torch.testing.assert_close(model(*views).scores, before, rtol=0, atol=1e-5)
    model.save_pretrained(tmp_path)
    loaded = AIGVRewardModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(*views).scores, model(*views).scores)
    assert torch.equal(loaded.merge_lora()(*views).scores, model(*views).scores)


def test_targets_that_do_not_exist_are_an_error(tiny):
    lora = tiny().lora | {"target_modules": ["query"]}
    with pytest.raises(ValueError, match=r"Target modules .*query.* not found"):
        AIGVRewardModel(tiny(lora=lora))

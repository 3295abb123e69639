"""Which parts learn, and that those which do not stand still."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aigv_reward import VideoReward
from aigv_reward.training.arguments import ModelArguments
from aigv_reward.training.trainable_model import VIEW_OF, load_trainable


def learning(model) -> set[str]:
    """Names of the parts that learn, of the language model only whether LoRA or the rest does."""
    found = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = name.split(".")[0]
            found.add(part if part != "llm" else "lora" if "lora_" in name else "llm")
    return found


PROJECTIONS = {"semantic_projection", "technical_projection", "motion_projection"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"technical", "motion", "lora"} | PROJECTIONS),
        ({"train_towers": [], "language_model": "full"}, {"llm"} | PROJECTIONS),
        ({"train_towers": ["semantic"], "train_projections": False}, {"semantic", "lora"}),
        ({"train_towers": [], "language_model": "frozen"}, PROJECTIONS),
    ],
)
def test_what_learns(values: dict, expected: set[str], checkpoint: Path) -> None:
    model, tokenizer = load_trainable(ModelArguments(checkpoint=str(checkpoint), **values))
    assert learning(model) == expected
    assert tokenizer is not None
    assert (model.config.lora is not None) == ("lora" in expected)


def test_features_and_views_give_the_same_scores(checkpoint: Path, clips: list[Path]) -> None:
    model, _ = load_trainable(ModelArguments(checkpoint=str(checkpoint)))
    model.eval()
    reward = VideoReward.from_pretrained(checkpoint)
    views = reward.prepare(clips[1])
    inputs = {view: getattr(views, view) for view in VIEW_OF.values()}
    features = {view: getattr(model, tower)(inputs[view]) for tower, view in VIEW_OF.items()}
    with torch.no_grad():
        expected = torch.stack([*reward.score_views(views).values()], dim=1)
        # New LoRA starts as nothing.
        torch.testing.assert_close(model(**inputs).scores, expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(model(**features).scores, expected, rtol=0, atol=1e-6)
        mixed = inputs | {"fast": features["fast"]}
        torch.testing.assert_close(model(**mixed).scores, expected, rtol=0, atol=1e-6)


def test_what_does_not_learn_stays_in_eval_mode(checkpoint: Path) -> None:
    model, _ = load_trainable(ModelArguments(checkpoint=str(checkpoint), train_towers=["motion"]))
    model.eval()
    model.train()
    assert model.training and model.motion.training and model.llm.training
    assert not any(module.training for module in model.semantic.modules())
    assert not any(module.training for module in model.technical.modules())
    before = {name: value.clone() for name, value in model.motion.named_buffers()}
    model.motion(torch.randn(2, 4, 3, 32, 32))
    for name, value in model.motion.named_buffers():
        assert torch.equal(value, before[name]), name


def test_lora_as_asked_and_as_the_checkpoint_has_it(checkpoint: Path, tmp_path: Path) -> None:
    args = ModelArguments(checkpoint=str(checkpoint), lora_r=2, lora_target_modules=["v_proj"])
    model, _ = load_trainable(args)
    assert model.config.lora == {
        "r": 2,
        "lora_alpha": 16,
        "lora_dropout": 0.05,
        "target_modules": ["v_proj"],
    }
    model.save_pretrained(tmp_path)
    again, _ = load_trainable(ModelArguments(checkpoint=str(tmp_path), lora_r=2))
    assert again.config.lora["r"] == 2
    message = r"the checkpoint has LoRA with r 2, not 4; leave it out to go on with it, or merge"
    with pytest.raises(ValueError, match=message):
        load_trainable(ModelArguments(checkpoint=str(tmp_path), lora_r=4))


def test_a_bfloat16_language_model_learns_in_float32(checkpoint: Path) -> None:
    args = ModelArguments(checkpoint=str(checkpoint), language_model_dtype="bfloat16")
    with pytest.raises(ValueError, match=r"language_model_dtype: bfloat16 needs bf16: true"):
        load_trainable(args)
    model, _ = load_trainable(args, bf16=True)
    for name, value in model.named_parameters():
        frozen = name.startswith("llm.") and not value.requires_grad
        assert value.dtype == (torch.bfloat16 if frozen else torch.float32), name


def test_the_divisor_of_a_published_checkpoint_is_replaced(checkpoint: Path) -> None:
    model, _ = load_trainable(ModelArguments(checkpoint=str(checkpoint), logit_divisor=3.0))
    assert model.config.logit_divisor == 3.0

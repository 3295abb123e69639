"""The model's forward, and what becomes of its weights on the way to disk and back."""

import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CONFIG_MAPPING, MODEL_MAPPING

from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.model import AIGVRewardConfig, AIGVRewardModel

LEVELS = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    weights = change(load_file(path))
    save_file(weights, path, metadata={"format": "pt"})


@pytest.fixture
def copied(saved, tmp_path):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


@torch.no_grad()
def test_output(model, views):
    output = model(*views)
    assert output.scores.shape == (2, 4)
    assert output.level_logits.shape == (2, 4, 5)
    assert output.semantic_tokens.shape == (2, 3, 32)
    assert output.motion_tokens.shape == (2, 5, 32)
    assert output.technical_tokens.shape == (2, 3, 32)
    expected = (output.level_logits.softmax(-1) * LEVELS).sum(-1)
    torch.testing.assert_close(output.scores, expected)
    assert output.scores.std() > 0.05  # the fixture's weights matter


@torch.no_grad()
def test_scores_need_neither_the_other_dimensions_nor_the_other_videos(model, views):
    every = model(*views, text_ids=[[30, 31], None]).scores
    for column, name in enumerate(DIMENSIONS):
        one = model(*(view[:1] for view in views), dimensions=[name], text_ids=[[30, 31]]).scores
        torch.testing.assert_close(one, every[:1, [column]], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_mirrored_model_scores_mirror_images_alike(tiny, lively, views):
    plain, both = lively(tiny()), lively(tiny(mirrored=True))
    flipped = [view.flip(-1) for view in views]
    torch.testing.assert_close(both(*views).scores, both(*flipped).scores, rtol=0, atol=1e-5)
    assert (plain(*views).scores - plain(*flipped).scores).abs().max() > 1e-3
    features = (both.motion(views[2]) + both.motion(flipped[2])) / 2
    torch.testing.assert_close(both.encode("motion", views[2]), features)


@pytest.mark.parametrize("index", [0, 1, 2], ids=["key frames", "fragments", "fast"])
def test_gradients_reach_every_view(model, views, index):
    inputs = [view.clone().requires_grad_() for view in views]
    model.requires_grad_(False)(*inputs).scores[:, 0].sum().backward()
    assert inputs[index].grad.abs().sum() > 0


def test_level_values_and_divisor(model):
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0, 0.5])
    model.config.level_values, model.config.logit_divisor = [1.0, 2.0, 3.0, 4.0, 5.0], 100.0
    weights = torch.exp(logits / 100)
    expected = (weights * LEVELS.flip(0)).sum() / weights.sum()
    torch.testing.assert_close(model.levels_to_scores(logits), expected)
    assert model.levels_to_scores(logits.bfloat16()).dtype == torch.float32
    assert model.levels_to_scores(logits.double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["sound"], "unknown dimension 'sound'; this checkpoint answers technical, motion, sem"),
        ([], "dimensions is empty; ask for some of technical, motion, semantic, overall"),
    ],
)
def test_dimensions_are_checked(model, views, names, message):
    with pytest.raises(ValueError, match=message):
        model(*views, dimensions=names)


@pytest.mark.parametrize(
    "values",
    [
        {"lora": None},
        {
            "text_config": {
                "model_type": "gpt2",
                "n_embd": 32,
                "n_layer": 2,
                "n_head": 2,
                "vocab_size": 64,
            },
            "lora": {"r": 2, "target_modules": ["c_attn"], "fan_in_fan_out": True},
        },
        {
            "text_config": {
                "model_type": "qwen3",
                "vocab_size": 64,
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 8,
                "tie_word_embeddings": True,
            },
        },
        {
            "semantic_config": {
                "model_type": "siglip_vision_model",
                "hidden_size": 24,
                "intermediate_size": 40,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 16,
            },
            "semantic_frame_token": "pooled",
        },
    ],
    ids=["no lora", "gpt2", "tied qwen3", "siglip"],
)
@torch.no_grad()
def test_other_parts_survive_saving(values, tiny, lively, views, tmp_path):
    model = lively(tiny(**values))
    model.save_pretrained(tmp_path)
    loaded = AIGVRewardModel.from_pretrained(tmp_path)
    assert torch.equal(loaded(*views).scores, model(*views).scores)
    assert torch.equal(copy.deepcopy(model)(*views).scores, model(*views).scores)


@pytest.mark.parametrize(
    "options",
    [{}, {"device_map": "cpu"}, {"device_map": "auto"}, {"attn_implementation": "sdpa"}],
    ids=str,
)
@torch.no_grad()
def test_saved_and_loaded_scores_are_bit_equal(model, saved, views, options):
    loaded = AIGVRewardModel.from_pretrained(saved, **options)
    assert not loaded.training
    assert torch.equal(loaded(*views).scores, model(*views).scores)


@torch.no_grad()
def test_shards(model, views, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert torch.equal(
        AIGVRewardModel.from_pretrained(tmp_path)(*views).scores, model(*views).scores
    )


@torch.no_grad()
def test_bfloat16(model, saved, views, tmp_path):
    half = AIGVRewardModel.from_pretrained(saved, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    small = [view.bfloat16() for view in views]
    scores = half(*small).scores
    torch.testing.assert_close(scores, model(*views).scores, rtol=0, atol=0.15)
    half.save_pretrained(tmp_path)
    again = AIGVRewardModel.from_pretrained(tmp_path, dtype="auto")
    assert again.dtype == torch.bfloat16
    assert torch.equal(again(*small).scores, scores)


@torch.no_grad()
def test_parts_on_disk(model, saved, views, tmp_path):
    """accelerate brings the weights of offloaded modules when these are called."""
    parts = dict.fromkeys([name for name, _ in model.named_children() if name != "llm"], "cpu")
    placed = parts | {f"llm.model.{name}": "cpu" for name, _ in model.llm.model.named_children()}
    del placed["llm.model.layers"]
    placed |= {f"llm.model.layers.{i}": "disk" if i == 1 else "cpu" for i in range(3)}
    placed |= {"llm.lm_head": "disk", "technical": "disk"}
    loaded = AIGVRewardModel.from_pretrained(saved, device_map=placed, offload_folder=tmp_path)
    assert loaded.llm.lm_head.weight.is_meta
    torch.testing.assert_close(loaded(*views).scores, model(*views).scores, rtol=0, atol=1e-5)


def test_eager_and_sdpa(model, saved, views):
    eager = AIGVRewardModel.from_pretrained(saved, attn_implementation="eager")
    assert eager.llm.config._attn_implementation == "eager"
    assert model.llm.config._attn_implementation == "sdpa"
    torch.testing.assert_close(eager(*views).scores, model(*views).scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("attention", ["flash_attention_2", "flex_attention"])
def test_attention_without_4d_masks_is_refused(saved, attention):
    with pytest.raises(ValueError, match=f"attn_implementation '{attention}' takes no 4-D mask"):
        AIGVRewardModel.from_pretrained(saved, attn_implementation=attention)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda w: {k: v for k, v in w.items() if "lora_A" not in k},
            r"do not fit its config: \{'missing_keys': \['llm\.model\.layers\.0\.self_attn\.q_proj",
        ),
        (lambda w: w | {"slow": torch.zeros(1)}, r"config: \{'unexpected_keys': \['slow'\]\}"),
        (
            lambda w: w | {"technical_projection.bias": torch.zeros(3)},
            r"config: \{'mismatched_keys': \[.*'technical_projection\.bias', .*3.*32",
        ),
    ],
    ids=["missing", "unexpected", "mismatched"],
)
def test_weights_that_do_not_fit(copied, change, message):
    edit_weights(copied, change)
    for options in ({}, {"ignore_mismatched_sizes": True}):
        with pytest.raises(ValueError, match=message):
            AIGVRewardModel.from_pretrained(copied, **options)


def test_loading_info(saved):
    model, info = AIGVRewardModel.from_pretrained(saved, output_loading_info=True)
    assert isinstance(model, AIGVRewardModel)
    assert not info["missing_keys"]


def test_no_split_modules_name_real_parts(model):
    classes = {type(module).__name__ for module in model.modules()}
    assert {"SwinBlock", "FastPathway", "LlamaDecoderLayer", "BlipEncoderLayer"} <= classes
    assert set(model._no_split_modules) <= classes
    assert {"LlamaDecoderLayer", "SwinBlock", "BlipLastLayer"} <= set(model._no_split_modules)


def test_nothing_is_registered_with_transformers():
    assert "aigv_reward" not in CONFIG_MAPPING
    assert AIGVRewardConfig not in MODEL_MAPPING

"""A converted published checkpoint reproduces the recorded numbers."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from aigv_reward import VideoReward
from aigv_reward.model import AIGVRewardModel
from aigv_reward.model.conversion import convert_aigveval

REFERENCE = Path(__file__).parents[1] / "reference"
CHECKPOINT = REFERENCE / "aigveval_small.pth"
CONFIG = REFERENCE / "aigveval_small.json"
TOKENIZER = REFERENCE / "aigveval_small_tokenizer.json"
LLM = "llm_model.base_model.model."


def wave(shape: tuple[int, ...], phase: float) -> Tensor:
    """The recorded view (B, 3, T, H, W), as (B, T, 3, H, W)."""
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (torch.sin(index * 0.7310 + phase) * 1.5).reshape(shape).float().transpose(1, 2)


def clip(frames: int, height: int, width: int, k: int) -> Tensor:
    """The recorded video, uint8 (T, H, W, 3)."""
    i = torch.arange(frames * height * width * 3, dtype=torch.float64)
    values = (torch.sin(i * 0.0137 + k) + torch.sin(i * 0.00071 * (k + 2))) * 60 + 128
    return values.reshape(frames, height, width, 3).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return load_file(REFERENCE / "aigveval_small_expected.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("converted")
    convert_aigveval(CHECKPOINT, out, config=CONFIG, tokenizer=TOKENIZER)
    return out


@pytest.fixture(scope="module")
def reward(folder) -> VideoReward:
    return VideoReward.from_pretrained(folder)


@pytest.fixture(scope="module")
def output(reward):
    views = [
        wave((2, 3, 8, 224, 224), 0.1),
        wave((2, 3, 8, 224, 224), 0.2),
        wave((2, 3, 32, 224, 224), 0.4),
    ]
    with torch.no_grad():
        return reward.model(*views)


@pytest.mark.parametrize("name", ["semantic_tokens", "motion_tokens", "technical_tokens"])
def test_tokens(output, expected, name):
    """To 1e-5, or to 1e-5 of the largest: motion tokens reach 43, where float32 keeps 2e-6."""
    tokens = expected[f"views.{name}"]
    limit = 1e-5 * (tokens.abs().max().item() if name == "motion_tokens" else 1.0)
    torch.testing.assert_close(output[name], tokens, rtol=0, atol=limit)


def test_level_logits_and_scores_from_views(output, expected, reward):
    column = reward.dimensions.index("overall")
    logits, scores = expected["views.level_logits"], expected["views.score"]
    torch.testing.assert_close(output.level_logits[:, column], logits, rtol=0, atol=1e-3)
    torch.testing.assert_close(output.scores[:, column], scores, rtol=0, atol=1e-5)


@torch.no_grad()
def test_scores_from_raw_frames(reward, expected):
    videos = [clip(40, 224, 224, 0), clip(23, 224, 224, 1), clip(5, 224, 224, 2)]
    scores = reward.score([video.permute(0, 3, 1, 2) for video in videos], ["a video", None, "b"])
    torch.testing.assert_close(scores.overall, expected["raw.score"], rtol=0, atol=1e-5)
    assert scores.trained == ("overall",)
    assert scores.dimensions == ("technical", "motion", "semantic", "overall")


def test_what_the_folder_says(folder, reward):
    config = json.loads((folder / "config.json").read_text())
    assert config["trained"] == ["overall"]
    assert config["level_values"] == [1, 2, 3, 4, 5]
    assert config["logit_divisor"] == 100
    assert config["source"] == {
        "kind": "aigveval",
        "file": "aigveval_small.pth",
        "sha256": hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest(),
    }
    assert (folder / "tokenizer.json").read_bytes() == TOKENIZER.read_bytes()
    card = (folder / "README.md").read_text()
    assert f"sha256 `{config['source']['sha256']}`" in card
    assert f"Score version: `{config['score_version']}`" in card
    assert "`motion` is answered by a question that nobody trained" in card
    assert "`overall` is answered by" not in card
    assert "reaches the semantic question alone" in card
    recorded = json.loads(CONFIG.read_text())["prompt_piece_ids"]
    prompt = reward.model.config.prompt_format
    assert [list(piece) for piece in prompt.pieces] == recorded[:3]
    assert list(prompt.questions["overall"].ids) == recorded[3]
    assert prompt.takes_text


def save(state: dict[str, Tensor], path: Path) -> Path:
    torch.save({"state_dict": state, "validation_results": [0.7]}, path)
    return path


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return torch.load(CHECKPOINT, weights_only=True)["state_dict"]


def assert_same_weights(model: AIGVRewardModel, reward: VideoReward) -> None:
    weights = reward.model.state_dict()
    assert model.state_dict().keys() == weights.keys()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, weights[name]), name


@pytest.mark.parametrize(
    ("old", "prefix"), [(True, ""), (False, "module.")], ids=["peft < 0.7", "later peft"]
)
def test_both_peft_namings(state, old, prefix, reward, tmp_path):
    def name(key: str) -> str:
        for part in ("q_proj", "v_proj"):
            if old:
                key = key.replace(f"{part}.base_layer.", f"{part}.")
            elif key.endswith(f"{part}.weight"):
                key = key.replace(f"{part}.weight", f"{part}.base_layer.weight")
        return prefix + key

    path = save({name(key): value for key, value in state.items()}, tmp_path / "a.pth")
    model = convert_aigveval(path, tmp_path / "out", config=CONFIG, tokenizer=TOKENIZER)
    assert_same_weights(model, reward)


def base_models(state, values, bare_blip):
    """The frozen models as the real classes hold them, with weights from the checkpoint."""
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=values["vocab_size"],
            hidden_size=values["llm_hidden"],
            intermediate_size=values["llm_intermediate"],
            num_hidden_layers=values["llm_layers"],
            num_attention_heads=values["llm_heads"],
        )
    )
    plain = {
        key.removeprefix(LLM).replace(".base_layer.", "."): value.float()
        for key, value in state.items()
        if key.startswith(LLM) and "lora_" not in key
    }
    llama.load_state_dict(plain, strict=True)
    vision = {
        "hidden_size": values["vit_dim"],
        "intermediate_size": 4 * values["vit_dim"],
        "num_hidden_layers": values["vit_depth"],
        "num_attention_heads": values["vit_heads"],
        "image_size": 224,
    }
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 40}
    blip = BlipForConditionalGeneration(BlipConfig(vision_config=vision, text_config=text))
    return llama, blip.vision_model if bare_blip else blip


@pytest.mark.parametrize("storage", ["safetensors", "bin and no [PAD]"])
def test_a_checkpoint_without_the_frozen_weights(state, storage, reward, tmp_path):
    """Its language model and BLIP come from folders of the real models."""
    values = json.loads(CONFIG.read_text())
    llama, blip = base_models(state, values, bare_blip=storage == "safetensors")
    tower = blip if isinstance(blip, BlipVisionModel) else blip.vision_model
    tower.load_state_dict(reward.model.semantic.tower.state_dict(), strict=True)
    blip.save_pretrained(tmp_path / "blip")
    if storage == "safetensors":
        llama.save_pretrained(tmp_path / "llm", max_shard_size="50KB")
        assert len(list((tmp_path / "llm").glob("*.safetensors"))) > 1
    else:
        llama.resize_token_embeddings(values["vocab_size"] - 1)
        (tmp_path / "llm").mkdir()
        torch.save(llama.state_dict(), tmp_path / "llm" / "pytorch_model-00001-of-00001.bin")
    small = {
        key: value
        for key, value in state.items()
        if not key.startswith("blip.") and (not key.startswith(LLM) or "lora_" in key)
    }
    model = convert_aigveval(
        save(small, tmp_path / "small.pth"),
        tmp_path / "out",
        config=CONFIG,
        tokenizer=TOKENIZER,
        base_llm=tmp_path / "llm",
        semantic=tmp_path / "blip",
    )
    if storage == "safetensors":
        assert_same_weights(model, reward)
        return
    for name in ("embed_tokens", "lm_head"):  # all rows but that of [PAD], which no prompt has
        module = model.llm.lm_head if name == "lm_head" else model.llm.model.embed_tokens
        whole = reward.model.get_submodule(f"llm.{'model.' * (name != 'lm_head')}{name}")
        assert torch.equal(module.weight[:-1], whole.weight[:-1])
        assert module.weight[-1].eq(0).all()
    converted = model.semantic.tower.state_dict()
    for name, weight in reward.model.semantic.tower.state_dict().items():
        assert torch.equal(converted[name], weight), name


def test_without_a_tokenizer_only_overall_is_asked(reward, tmp_path):
    model = convert_aigveval(CHECKPOINT, tmp_path, config=CONFIG)
    assert model.config.dimensions == ("overall",)
    assert not model.config.prompt_format.takes_text
    assert not (tmp_path / "tokenizer.json").exists()
    assert_same_weights(model, reward)


def test_dtype(reward, tmp_path):
    model = convert_aigveval(CHECKPOINT, tmp_path, config=CONFIG, dtype=torch.float16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
    weights = load_file(tmp_path / "model.safetensors")
    assert weights["motion.stem.norm.num_batches_tracked"].dtype == torch.int64
    loaded = AIGVRewardModel.from_pretrained(tmp_path, dtype=torch.float32)
    assert_same_weights(loaded, reward)  # the file holds float16 values

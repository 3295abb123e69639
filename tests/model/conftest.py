from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from aigv_reward.model import AIGVRewardConfig, AIGVRewardModel

LLAMA = {
    "model_type": "llama",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
TINY = {
    "text_config": LLAMA,
    "semantic_config": {
        "model_type": "blip_vision_model",
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    },
    "technical_config": {
        "embed_dim": 8,
        "depths": (2, 2),
        "num_heads": (2, 4),
        "window_size": (2, 2, 2),
    },
    "motion_config": {"stem_width": 4, "inner_widths": (4, 8), "depths": (1, 2), "expansion": 2},
    "technical_repeats": 3,
    "lora": {
        "r": 2,
        "lora_alpha": 4,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj", "v_proj"],
    },
    "prompt": {
        "pieces": ((2, 3, 4), (2, 5), (2, 6, 7)),
        "questions": {
            "overall": {"ids": (2, 8, 9)},
            "technical": {"ids": (2, 10)},
            "motion": {"ids": (2, 11, 12, 13)},
            "semantic": {"ids": (2, 14), "prompted_ids": (2, 15, 16), "prompt_position": 2},
        },
        "level_ids": (25, 24, 23, 22, 21),
    },
}

Views = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="session")
def tiny() -> Callable[..., AIGVRewardConfig]:
    """A config of a few thousand parameters; keyword arguments replace its fields."""

    def make(**values: object) -> AIGVRewardConfig:
        return AIGVRewardConfig(**(TINY | values))

    return make


@pytest.fixture(scope="session")
def llama() -> dict[str, object]:
    return dict(LLAMA)


@torch.no_grad()
def build_lively(config: AIGVRewardConfig) -> AIGVRewardModel:
    torch.manual_seed(0)
    model = AIGVRewardModel(config)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            module.weight.normal_(std=1.2 / module.weight.shape[1] ** 0.5)
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="session")
def lively() -> Callable[[AIGVRewardConfig], AIGVRewardModel]:
    """A model in which every weight, LoRA's among them, moves the scores."""
    return build_lively


@pytest.fixture
def model(tiny, lively) -> AIGVRewardModel:
    return lively(tiny())


@pytest.fixture(scope="session")
def saved(tiny, lively, tmp_path_factory) -> Path:
    """A folder with the weights of `model`."""
    folder = tmp_path_factory.mktemp("saved")
    lively(tiny()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def views() -> Views:
    """Key frames, fragments and fast clip of 2 videos."""
    generator = torch.Generator().manual_seed(3)
    key_frames, fragments, fast = (
        torch.randn(2, frames, 3, 32, 32, generator=generator) for frames in (3, 4, 5)
    )
    return key_frames, fragments, fast

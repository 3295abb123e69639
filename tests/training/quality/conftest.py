"""A tiny real model, tiny mp4s of rising noise, and runs on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from aigv_reward.distortions import encode_mp4
from aigv_reward.model import AIGVRewardConfig, AIGVRewardModel
from aigv_reward.regressor import LEVEL_WORDS, PromptFormat
from aigv_reward.training.config_file import parse_config
from aigv_reward.training.quality_run import QualityRun, prepare_run
from aigv_reward.video.indices import FrameSampling
from aigv_reward.views import ViewSampling

SAMPLING = ViewSampling(
    key_frames=FrameSampling(2, stride=1),
    key_size=32,
    fragments=None,
    grid=2,
    patch=16,
    fast=FrameSampling(4, stride=1),
    fast_size=32,
)
CLIPS = 24
LEVELS = 6  # of noise; clip i has level i % LEVELS


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.add_tokens(list(LEVEL_WORDS))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def tiny_config(tokenizer: PreTrainedTokenizerFast) -> AIGVRewardConfig:
    return AIGVRewardConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "initializer_range": 0.2,  # so that clips and prompts tell in the score
        },
        semantic_config={
            "model_type": "blip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": SAMPLING.key_size,
            "patch_size": 16,
        },
        technical_config={
            "embed_dim": 8,
            "depths": (1,),
            "num_heads": (2,),
            "window_size": (2, 4, 4),
        },
        motion_config={
            "stem_width": 4,
            "inner_widths": (4, 8),
            "depths": (1, 1),
            "max_frames": 8,
        },
        technical_repeats=1,
        prompt=PromptFormat.from_tokenizer(tokenizer, max_prompt_tokens=32).to_dict(),
        sampling=SAMPLING.to_dict(),
        trained=["technical", "semantic", "overall"],
        score_version="tiny-1",
    )


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    AIGVRewardModel(tiny_config(tokenizer)).eval().save_pretrained(folder)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Clip i is grey with noise of level i % LEVELS."""
    folder = tmp_path_factory.mktemp("clips")
    paths = []
    for index in range(CLIPS):
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(6, 3, 48, 64, generator=generator)
        frames = 110 + index + noise * 12 * (index % LEVELS)
        paths.append(folder / f"{index:02}.mp4")
        encode_mp4(paths[-1], frames.clamp(0, 255).to(torch.uint8), 8.0, preset="ultrafast")
    return paths


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One feature cache for all runs."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture(scope="session")
def mos(clips: list[Path]) -> Path:
    """Opinions that rise with the noise; every prompt has two clips."""
    lines = [
        f"{path.name}|prompt {index // 2}|{1 + 0.8 * (index % LEVELS)}"
        for index, path in enumerate(clips)
    ]
    file = clips[0].parent / "mos.txt"
    file.write_text("\n".join(lines) + "\n")
    return file


Prepare = Callable[..., QualityRun]


@pytest.fixture
def prepare(checkpoint: Path, features: Path, tmp_path: Path) -> Prepare:
    """Prepares a run of the tiny model in tmp_path / "run"."""

    def make(*, resume: bool = False, **values: Any) -> QualityRun:
        config = {
            "output_dir": str(tmp_path / "run"),
            "checkpoint": str(checkpoint),
            "feature_cache": str(features),
            "train_towers": [],
            "validation_fraction": 0.25,
            "test_fraction": 0.25,
            "dataloader_num_workers": 0,
            "logging_steps": 1,
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
        }
        return prepare_run(*parse_config(config | values), resume=resume)

    return make

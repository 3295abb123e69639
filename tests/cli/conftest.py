from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner, Result

from aigv_reward.cli import app
from aigv_reward.distortions import encode_mp4, render_scene
from aigv_reward.model import AIGVRewardConfig, AIGVRewardModel
from aigv_reward.regressor import LEVEL_WORDS, PromptFormat
from aigv_reward.video.indices import FrameSampling
from aigv_reward.views import ViewSampling

SAMPLING = ViewSampling(
    key_frames=FrameSampling(2),
    key_size=32,
    fragments=None,
    grid=2,
    patch=16,
    fast=FrameSampling(4),
    fast_size=32,
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token, and every level word."""
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
        motion_config={"depths": (1, 1, 1, 1), "max_frames": 8},
        technical_repeats=1,
        prompt=PromptFormat.from_tokenizer(tokenizer, max_prompt_tokens=32).to_dict(),
        sampling=SAMPLING.to_dict(),
        trained=["technical", "semantic", "overall"],
        logit_divisor=1.0,
    )


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint that was "trained" for everything but motion."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    AIGVRewardModel(tiny_config(tokenizer)).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Clips:
    """A folder: a.mp4, b.mp4, deep/c.mp4, notes.txt."""

    folder: Path

    @property
    def good(self) -> list[str]:
        return [str(self.folder / name) for name in ("a.mp4", "b.mp4", "deep/c.mp4")]


@pytest.fixture(scope="session")
def encoded() -> list[bytes]:
    """Three short clips as mp4."""
    files = []
    for seed in range(3):
        buffer = io.BytesIO()
        frames = render_scene(seed, num_frames=6, height=48, width=64).frames
        encode_mp4(buffer, frames, 8.0)
        files.append(buffer.getvalue())
    return files


@pytest.fixture
def clips(tmp_path: Path, encoded: list[bytes]) -> Clips:
    made = Clips(tmp_path / "clips")
    (made.folder / "deep").mkdir(parents=True)
    for path, data in zip(made.good, encoded, strict=True):
        Path(path).write_bytes(data)
    (made.folder / "notes.txt").write_text("not a video")
    return made


@pytest.fixture
def run(checkpoint: Path) -> Callable[..., Result]:
    """Runs a command in this process, with the tiny checkpoint unless told otherwise."""

    def invoke(command: str, *args: object, tiny: bool = True) -> Result:
        chosen = ("--checkpoint", str(checkpoint)) if tiny else ()
        return CliRunner().invoke(app, [command, *map(str, args), *chosen], catch_exceptions=False)

    return invoke

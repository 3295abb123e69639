"""One tiny random quality model of the real classes, and small clips to score with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from aigv_reward import AIGVRewardConfig, AIGVRewardModel, VideoReward
from aigv_reward.regressor import LEVEL_WORDS, PromptFormat
from aigv_reward.regressor.prompt import PIECES, QUESTIONS
from aigv_reward.video.indices import FrameSampling
from aigv_reward.views import ViewSampling

SAMPLING = ViewSampling(
    key_frames=FrameSampling(3),
    key_size=32,
    fragments=FrameSampling(4, bursts=2, stride=1),
    grid=2,
    patch=16,
    fast=FrameSampling(6, bursts=2, stride=1),
    fast_size=24,
)
BY_TIME = replace(SAMPLING, fast=FrameSampling(6, seconds=0.1))

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
# LLaMA's norms compute in float32 whatever the dtype; GPT-NeoX keeps float64 throughout.
NEOX = {
    "model_type": "gpt_neox",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 256,
}


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, show_progress=False, initial_alphabet=alphabet)
    backend.train_from_iterator([*PIECES, *QUESTIONS.values()], trainer)
    backend.add_tokens(list(LEVEL_WORDS))
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def build_model(
    tokenizer: PreTrainedTokenizerFast, sampling: ViewSampling = SAMPLING, llm: dict | None = None
) -> AIGVRewardModel:
    """Random weights, larger than an initialisation, so that scores spread over the scale."""
    config = AIGVRewardConfig(
        text_config={**(llm or LLAMA), "vocab_size": len(tokenizer)},
        semantic_config={
            "model_type": "blip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": sampling.key_size,
            "patch_size": 16,
            "layer_norm_eps": 1e-6,
            "initializer_range": 0.02,
        },
        technical_config={
            "embed_dim": 8,
            "depths": (2, 1),
            "num_heads": (1, 2),
            "window_size": (2, 4, 4),
        },
        motion_config={
            "stem_width": 4,
            "inner_widths": (4, 8),
            "depths": (1, 1),
            "max_frames": 8,
        },
        technical_repeats=2,
        prompt=PromptFormat.from_tokenizer(tokenizer, max_prompt_tokens=24).to_dict(),
        sampling=sampling.to_dict(),
        trained=["technical", "motion"],
        calibration={
            "technical": {"mean": 3.0, "std": 0.5},
            "motion": {"mean": 2.5, "std": 0.25},
            "overall": {"mean": 2.0, "std": 2.0},
        },
        calibration_set="four made-up clips",
        score_version="tiny-1",
    )
    model = AIGVRewardModel(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
        model.llm.get_input_embeddings().weight.normal_(generator=generator)
        model.llm.get_output_embeddings().weight.mul_(2)
    return model.eval()


@pytest.fixture(scope="session")
def model(tokenizer: PreTrainedTokenizerFast) -> AIGVRewardModel:
    return build_model(tokenizer)


@pytest.fixture
def reward(model: AIGVRewardModel, tokenizer: PreTrainedTokenizerFast) -> VideoReward:
    """Shares the session's model: tests that change it take `own_reward`."""
    return VideoReward(model, tokenizer=tokenizer)


@pytest.fixture
def own_reward(model: AIGVRewardModel, tokenizer: PreTrainedTokenizerFast) -> VideoReward:
    return VideoReward(copy.deepcopy(model), tokenizer=tokenizer)


@pytest.fixture(scope="session")
def double_model(tokenizer: PreTrainedTokenizerFast) -> AIGVRewardModel:
    return build_model(tokenizer, llm=NEOX).double()


@pytest.fixture
def double_reward(double_model: AIGVRewardModel, tokenizer: PreTrainedTokenizerFast) -> VideoReward:
    return VideoReward(double_model, tokenizer=tokenizer)


@pytest.fixture(scope="session")
def timed_reward(tokenizer: PreTrainedTokenizerFast) -> VideoReward:
    """A checkpoint whose fast clip is sampled by time."""
    return VideoReward(build_model(tokenizer, sampling=BY_TIME), tokenizer=tokenizer)


def make_clip(frames: int = 12, height: int = 40, width: int = 56, *, seed: int = 0) -> Tensor:
    """(T, 3, H, W) uint8: smooth colour fields that drift, with fine texture."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(frames, 3, 5, 7, generator=generator).cumsum(0)
    drift = (small - small.amin()) / (small.amax() - small.amin())
    smooth = torch.nn.functional.interpolate(drift, size=(height, width), mode="bilinear")
    texture = 0.15 * (torch.rand(3, height, width, generator=generator) - 0.5)
    return ((smooth + texture).clamp(0, 1) * 255).round().to(torch.uint8)


Make = Callable[..., Tensor]


@pytest.fixture(scope="session")
def clip() -> Make:
    return make_clip


def write_video(path: Path, frames: Tensor, *, fps: int = 10) -> Path:
    """Lossless RGB in an mp4 or mkv, so that decoding gives back the very pixels."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=fps, options={"crf": "0"})
        stream.height, stream.width = frames.shape[-2:]
        stream.pix_fmt = "rgb24"
        for frame in frames.permute(0, 2, 3, 1).contiguous().numpy():
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@pytest.fixture(scope="session")
def write() -> Callable[..., Path]:
    return write_video

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from aigv_reward.regressor import PromptFormat, Question

WIDTHS = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}

LanguageModelConfig = Callable[..., PretrainedConfig]
LanguageModel = Callable[[PretrainedConfig], PreTrainedModel]


@pytest.fixture(scope="session")
def llm_config() -> LanguageModelConfig:
    """A tiny config of any language model type."""

    def make(model_type: str, **values: object) -> PretrainedConfig:
        if model_type in ("gpt2", "gpt_bigcode"):
            names = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
            ends = {"bos_token_id": None, "eos_token_id": None}
            return AutoConfig.for_model(model_type, vocab_size=64, **names, **ends, **values)
        return AutoConfig.for_model(model_type, **(WIDTHS | values))

    return make


@pytest.fixture(scope="session")
def llm() -> LanguageModel:
    """A language model whose weights are large enough for every token to matter."""

    @torch.no_grad()
    def make(config: PretrainedConfig) -> PreTrainedModel:
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config).float().eval()
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=1.5 / parameter.shape[-1] ** 0.5)
        return model

    return make


@pytest.fixture(scope="session")
def prompt() -> PromptFormat:
    return PromptFormat(
        pieces=((2, 3, 4), (2, 5), (2, 6, 7)),
        questions={
            "overall": Question((2, 8, 9, 10)),
            "technical": Question((2, 11)),
            "motion": Question((2, 12, 13, 14, 15, 16)),
            "semantic": Question((2, 17, 18), (2, 17, 19, 20), 3),
        },
        level_ids=(25, 24, 23, 22, 21),
        max_prompt_tokens=6,
    )


@pytest.fixture(scope="session")
def tokens() -> tuple[Tensor, Tensor, Tensor]:
    """Semantic (3, 2, 32), motion (3, 4, 32) and technical (3, 3, 32) tokens."""
    generator = torch.Generator().manual_seed(1)
    semantic, motion, technical = (torch.randn(3, n, 32, generator=generator) for n in (2, 4, 3))
    return semantic, motion, technical


@pytest.fixture(scope="session")
def ask_alone() -> Callable[..., Tensor]:
    """The oracle: one sequence, no mask, no position ids, all logits, the last position."""

    @torch.no_grad()
    def ask(
        model: PreTrainedModel,
        prompt: PromptFormat,
        tokens: Sequence[Tensor],
        question: Sequence[int],
    ) -> Tensor:
        embed = model.get_input_embeddings()
        parts = []
        for piece, visual in zip(prompt.pieces, tokens, strict=True):
            parts += [embed(torch.tensor([piece])), visual[None]]
        parts.append(embed(torch.tensor([list(question)])))
        logits = model(inputs_embeds=torch.cat(parts, dim=1), use_cache=False).logits
        return logits[0, -1, list(prompt.level_ids)]

    return ask

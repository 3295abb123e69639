"""One pass of a causal language model that answers every question about a video."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from aigv_reward.dimensions import Dimension
from aigv_reward.regressor.layout import pack_questions
from aigv_reward.regressor.probe import check_language_model, level_rows
from aigv_reward.regressor.prompt import PromptFormat


def build_language_model(config: PretrainedConfig) -> PreTrainedModel:
    """The causal language model of a config, in the default dtype.

    Raises:
        ValueError: its answers to packed questions differ from those of asking one by one, or an
            attention was asked for that takes no 4-D mask.
    """
    check_attention(config)
    check_language_model(config)
    return AutoModelForCausalLM.from_config(config, dtype=torch.get_default_dtype())


def check_attention(config: PretrainedConfig) -> None:
    """Raise where the config asks for an attention that cannot keep questions apart.

    Raises:
        ValueError: its `_attn_implementation` is neither "sdpa" nor "eager".
    """
    wanted = getattr(config, "_attn_implementation", None)
    if wanted not in (None, "sdpa", "eager"):
        raise ValueError(
            f"attn_implementation {wanted!r} takes no 4-D mask, which keeps the questions apart; "
            "use 'sdpa' or 'eager'"
        )


def longest_sequence(config: PretrainedConfig) -> int | None:
    """Positions that a question may span: known to the model, within every layer's window."""
    names = ["max_position_embeddings"]
    # Without layer types every layer has the window; a 4-D mask of ours would ignore it.
    if "sliding_attention" in (getattr(config, "layer_types", None) or ["sliding_attention"]):
        names.append("sliding_window")
    limits = [getattr(config, name, None) for name in names]
    return min((int(limit) for limit in limits if limit), default=None)


class LevelRegressor:
    """The logits of the level words, for each question, from the visual tokens of a video.

    Holds no parameters: it reads the language model that the quality model owns.
    """

    def __init__(self, llm: PreTrainedModel, prompt: PromptFormat) -> None:
        self.llm = llm
        self.prompt = prompt

    def __call__(
        self,
        semantic: Tensor,
        motion: Tensor,
        technical: Tensor,
        *,
        dimensions: Sequence[Dimension],
        text_ids: Sequence[Sequence[int] | None] | None = None,
    ) -> Tensor:
        """Level logits of every asked dimension.

        Args:
            semantic: (B, N, H) tokens in the language model's width.
            motion: (B, F, H).
            technical: (B, R, H).
            dimensions: the Q questions to ask, answered in this order.
            text_ids: one list of token ids, or None, per video: the generator's text prompt, read
                by the questions that have a place for it.

        Returns:
            (B, Q, 5), best level first.

        Raises:
            ValueError: a text prompt is longer than `max_prompt_tokens`, no question of this
                prompt has a place for one, there is not one a video, or a question is longer
                than the language model's positions or sliding window.
        """
        device, batch = semantic.device, semantic.shape[0]
        questions = self._questions(dimensions, text_ids, batch)
        embed = self.llm.get_input_embeddings()
        assert isinstance(embed, nn.Module)
        slots: list[Tensor] = []
        for piece, tokens in zip(self.prompt.pieces, (semantic, motion, technical), strict=True):
            ids = torch.tensor(piece, dtype=torch.long, device=device)
            slots += [embed(ids).expand(batch, -1, -1), tokens]
        length = sum(slot.shape[1] for slot in slots)
        self._check_length(length + max(len(question) for row in questions for question in row))
        layout = pack_questions(length, questions, device=device)
        slots.append(embed(layout.ids).expand(batch, -1, -1))
        inputs = torch.cat([slot.to(device, semantic.dtype) for slot in slots], dim=1)  # (B, L, H)
        mask = torch.zeros(layout.allowed.shape, dtype=inputs.dtype, device=device)
        mask = mask.masked_fill(~layout.allowed, torch.finfo(inputs.dtype).min)
        hidden = self.llm.base_model(
            inputs_embeds=inputs,
            attention_mask=mask.expand(batch, -1, -1, -1),
            position_ids=layout.positions.expand(batch, -1),
            use_cache=False,
        ).last_hidden_state
        answers = layout.answers.to(hidden.device).expand(batch, -1)[..., None]
        answered = hidden.gather(1, answers.expand(-1, -1, hidden.shape[-1]))  # (B, Q, H)
        return level_rows(self.llm, answered, self.prompt.level_ids).to(device)

    def _check_length(self, length: int) -> None:
        limit = longest_sequence(self.llm.config)
        if limit is not None and length > limit:
            raise ValueError(
                f"prompt, visual tokens and question are {length} positions, the limit of this "
                f"language model is {limit}; shorten the text prompt, sample fewer frames or "
                "lower technical_repeats"
            )

    def _questions(
        self,
        dimensions: Sequence[Dimension],
        text_ids: Sequence[Sequence[int] | None] | None,
        batch: int,
    ) -> list[list[tuple[int, ...]]]:
        asked = [self.prompt.questions[name] for name in dimensions]
        if text_ids is not None and len(text_ids) != batch:
            raise ValueError(
                f"text_ids has {len(text_ids)} entries for {batch} videos; give one a video, None "
                "where there is no text prompt"
            )
        if text_ids is None or all(text is None for text in text_ids):
            return [[question.ids for question in asked]]
        if not self.prompt.takes_text:
            raise ValueError(
                "text_ids were given, but no question of this checkpoint has a place for a text "
                "prompt; pass text_ids=None"
            )
        limit = self.prompt.max_prompt_tokens
        rows = []
        for text in text_ids:
            if text is not None and len(text) > limit:
                raise ValueError(
                    f"a text prompt of {len(text)} tokens, the limit is max_prompt_tokens={limit}; "
                    "shorten it, or raise the limit in the config"
                )
            rows.append(
                [
                    question.ids if question.prompted_ids is None else question.with_text(text)
                    for question in asked
                ]
            )
        return rows

"""The quality model while it is trained: some parts learn, the others stand still."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedTokenizerFast

from aigv_reward.model import AIGVRewardModel, AIGVRewardOutput
from aigv_reward.model.configuration_aigv_reward import PUBLISHED_LORA
from aigv_reward.reward.checkpoint import load_checkpoint
from aigv_reward.training.arguments import TOWERS, ModelArguments

VIEW_OF = {"semantic": "key_frames", "technical": "fragments", "motion": "fast"}
"""The view that each encoder reads."""


class TrainableRewardModel(AIGVRewardModel):
    """The quality model, which also takes features in place of views.

    Encoders that do not learn stay in eval mode, and so do all batch norms: their statistics are
    the checkpoint's, whatever the batch.
    """

    def forward(
        self,
        key_frames: Tensor,
        fragments: Tensor,
        fast: Tensor,
        *,
        dimensions: Any = None,
        text_ids: Any = None,
    ) -> AIGVRewardOutput:
        """Scores from views or, where a tensor has fewer than 5 axes, from an encoder's features.

        Args:
            key_frames: (B, N, 3, S, S), or features (B, N, C).
            fragments: (B, M, 3, G*P, G*P), or features (B, C).
            fast: (B, F, 3, R, R), or features (B, F, C).
            dimensions: as for `AIGVRewardModel.forward`.
            text_ids: as for `AIGVRewardModel.forward`.
        """
        return self.answer(
            self.encode("semantic", key_frames) if key_frames.ndim == 5 else key_frames,
            self.encode("motion", fast) if fast.ndim == 5 else fast,
            self.encode("technical", fragments) if fragments.ndim == 5 else fragments,
            dimensions=dimensions,
            text_ids=text_ids,
        )

    def train(self, mode: bool = True) -> Self:
        """Switch what learns to train mode, and nothing else."""
        super().train(mode)
        for name in TOWERS:
            tower: nn.Module = getattr(self, name)
            if not any(parameter.requires_grad for parameter in tower.parameters()):
                tower.eval()
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


def load_trainable(
    args: ModelArguments, *, bf16: bool = False
) -> tuple[TrainableRewardModel, PreTrainedTokenizerFast | None]:
    """The model that a run starts from, with what learns requiring gradients, and its tokenizer.

    Args:
        args: the checkpoint and its parts.
        bf16: whether training runs in autocast, which a bfloat16 language model needs.

    Raises:
        ValueError: no such checkpoint, its LoRA is another than asked for, or bfloat16 weights
            without autocast.
    """
    if args.language_model_dtype == "bfloat16" and not bf16:
        raise ValueError("language_model_dtype: bfloat16 needs bf16: true; set it")
    model, tokenizer = load_checkpoint(args.checkpoint, dtype=torch.float32)
    # Behaviour alone is added, so nothing has to be loaded a second time.
    model.__class__ = TrainableRewardModel
    assert isinstance(model, TrainableRewardModel)
    if args.logit_divisor is not None:
        model.config.logit_divisor = args.logit_divisor
    if args.language_model == "lora":
        _add_lora(model, args)
    model.requires_grad_(False)
    for name in args.train_towers:
        getattr(model, name).requires_grad_(True)
    if args.train_projections:
        for name in TOWERS:
            getattr(model, f"{name}_projection").requires_grad_(True)
    for name, parameter in model.llm.named_parameters():
        learns = args.language_model == "full" or (
            args.language_model == "lora" and "lora_" in name
        )
        parameter.requires_grad_(learns)
        if not learns and args.language_model_dtype == "bfloat16":
            parameter.data = parameter.data.to(torch.bfloat16)
    return model.train(), tokenizer


def _add_lora(model: AIGVRewardModel, args: ModelArguments) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    asked = {
        "r": args.lora_r,
        "lora_alpha": args.lora_alpha,
        "lora_dropout": args.lora_dropout,
        "target_modules": args.lora_target_modules,
    }
    given = {key: value for key, value in asked.items() if value is not None}
    if model.config.lora is None:
        model.config.lora = PUBLISHED_LORA | given
        inject_adapter_in_model(LoraConfig(**model.config.lora), model.llm)
        return
    for key, value in given.items():
        if model.config.lora.get(key) != value:
            raise ValueError(
                f"the checkpoint has LoRA with {key} {model.config.lora.get(key)!r}, not {value!r};"
                " leave it out to go on with it, or merge it first with merge_lora()"
            )

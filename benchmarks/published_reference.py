"""The published model written out plainly, under the names that its checkpoints use.

It computes what the published implementation computes, also what never reaches the score: the slow
pathway with its lateral connections, one pass of the image tower a frame, the logits of the whole
vocabulary at every position. Checkpoints load with `strict=True`.

References: arXiv 2506.04715.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from published_encoders import SlowFast, Swin, Tower
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

PUBLISHED_WIDTHS: dict[str, Any] = {
    "vit_dim": 1024,
    "vit_depth": 24,
    "vit_heads": 16,
    "swin_dim": 96,
    "swin_depths": [2, 2, 6, 2],
    "swin_heads": [3, 6, 12, 24],
    "slow_stem": 64,
    "slow_inner": [64, 128, 256, 512],
    "fast_depths": [3, 4, 6, 3],
    "llm_hidden": 4096,
    "llm_layers": 32,
    "llm_heads": 32,
    "llm_intermediate": 11008,
    "vocab_size": 32001,
    "lora_r": 8,
    "lora_alpha": 16,
    "rms_norm_eps": 1e-6,
}
"""A checkpoint's widths; also read, when given: `prompt_piece_ids`, `level_ids`."""


class PublishedModel(nn.Module):
    """The whole published model; `widths` as `PUBLISHED_WIDTHS`, with the prompt's token ids."""

    def __init__(self, widths: Mapping[str, Any]) -> None:
        super().__init__()
        w = {**PUBLISHED_WIDTHS, **widths}
        self.pieces: list[list[int]] = w["prompt_piece_ids"]
        levels = w["level_ids"]
        self.level_ids = [levels[name] for name in ("excellent", "good", "fair", "poor", "bad")]
        self.blip = Tower(w["vit_dim"], w["vit_depth"], w["vit_heads"])
        self.swin3d = Swin(w["swin_dim"], w["swin_depths"], w["swin_heads"])
        self.slowfast = SlowFast(w["slow_stem"], w["slow_inner"], w["fast_depths"])
        llm = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=w["vocab_size"],
                hidden_size=w["llm_hidden"],
                intermediate_size=w["llm_intermediate"],
                num_hidden_layers=w["llm_layers"],
                num_attention_heads=w["llm_heads"],
                rms_norm_eps=w["rms_norm_eps"],
            )
        )
        lora = LoraConfig(
            r=w["lora_r"], lora_alpha=w["lora_alpha"], target_modules=["q_proj", "v_proj"]
        )
        self.llm_model = get_peft_model(llm, lora)
        hidden = w["llm_hidden"]
        self.finetune_blip_proj = nn.Linear(w["vit_dim"], hidden)
        self.finetune_proj = nn.Linear(self.swin3d.norm.normalized_shape[0], hidden)
        fast = self.slowfast.position_embedding.embedding_dim
        self.slowfast_proj = nn.Sequential(
            nn.Linear(fast, hidden), nn.GELU(), nn.Linear(hidden, hidden)
        )

    def tokens(
        self, video: Tensor, fragments: Tensor, slow: Tensor, fast: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Semantic (B, 8, H), motion (B, 32, H) and technical (B, 32, H) tokens.

        All inputs are (B, 3, T, H, W), normalised.
        """
        frames = []
        for t in range(video.shape[2]):
            frames.append(self.finetune_blip_proj(self.blip(video[:, :, t])))
        semantic = torch.stack(frames, dim=1)
        technical = self.finetune_proj(self.swin3d(fragments).mean(dim=(2, 3, 4)))
        technical = technical[:, None].expand(-1, 32, -1)
        return semantic, self.slowfast_proj(self.slowfast(slow, fast)), technical

    def forward(
        self, video: Tensor, fragments: Tensor, slow: Tensor, fast: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Level logits (B, 5), best word first, and scores (B,)."""
        embed = self.llm_model.get_input_embeddings()
        parts = []
        tokens = [*self.tokens(video, fragments, slow, fast), None]
        for piece, visual in zip(self.pieces, tokens, strict=True):
            ids = torch.tensor(piece, device=video.device)
            parts.append(embed(ids).expand(len(video), -1, -1))
            if visual is not None:
                parts.append(visual.to(parts[0].dtype))
        embedded = torch.cat(parts, dim=1)
        mask = torch.ones(embedded.shape[:2], dtype=torch.long, device=video.device)
        logits = self.llm_model(inputs_embeds=embedded, attention_mask=mask).logits
        levels = logits[:, -1, self.level_ids].float()
        values = torch.arange(
            1.0, 6.0, device=levels.device
        )  # "excellent" is worth 1, as published
        return levels, (levels / 100).softmax(dim=-1) @ values

"""What the fine-tuning scripts read from the command line besides a trainer's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from aigv_reward import VideoReward
from aigv_reward.integrations.finetune.arguments import setting


@dataclass
class ScriptArguments:
    """The generator, the data and the reward of a fine-tuning script."""

    model: str = setting("Folder or hub id of a diffusers video pipeline.", default="")
    prompts: str = setting(
        "Prompts as txt, csv or jsonl; pairs as csv or jsonl for offline DPO.", default=""
    )
    reward: str | None = setting("Reward checkpoint; None: the bundled default.", default=None)
    judge: str | None = setting("A second reward checkpoint, watched only.", default=None)
    dtype: str = setting("Of the pipeline's weights: bfloat16, float16 or float32.",
                         default="bfloat16")  # fmt: skip

    def pipeline(self) -> Any:
        """The generator.

        Raises:
            ValueError: no model was named, or its type is unknown.
        """
        from diffusers import DiffusionPipeline

        if not self.model:
            raise ValueError("model is empty; give --model FOLDER or a hub id")
        types = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
        if self.dtype not in types:
            raise ValueError(f"dtype is {self.dtype!r}; choose {', '.join(types)}")
        return DiffusionPipeline.from_pretrained(self.model, torch_dtype=types[self.dtype])

    def rewards(self, device: Any) -> dict[str, VideoReward | None]:
        """The reward and the judge, on a device; as a trainer's keyword arguments."""
        judge = None
        if self.judge is not None:
            judge = VideoReward.from_pretrained(self.judge, device=device)
        reward = VideoReward.from_pretrained(
            self.reward, device=device, gradient_checkpointing=True
        )
        return {"reward": reward, "judge": judge}

"""What every trainer of video generators is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from transformers import TrainingArguments

from aigv_reward.integrations.finetune.lora import ATTENTION
from aigv_reward.integrations.finetune.sharding import check_sharding


def setting(text: str, *, default: Any) -> Any:
    """A field of a configuration, with the text of its help."""
    return field(default=default, metadata={"help": text})


@dataclass
class VideoTrainingArguments(TrainingArguments):
    """Fields that all trainers share; everything of `transformers.TrainingArguments` besides."""

    _VALID_DICT_FIELDS = [
        *TrainingArguments._VALID_DICT_FIELDS,
        "reward_weights",
        "generation_kwargs",
    ]

    lora_rank: int = setting("Rank of the LoRA update of the denoiser.", default=32)
    lora_alpha: float | None = setting("LoRA scale times rank; None: twice the rank.", default=None)
    lora_targets: list[str] = field(
        default_factory=lambda: list(ATTENTION),
        metadata={"help": "Ends of the names of the linear layers that get LoRA."},
    )
    generation_kwargs: dict[str, Any] | str | None = field(
        default=None,
        metadata={
            "help": "Arguments of the pipeline's call, as JSON: height, width, num_frames, "
            "num_inference_steps, guidance_scale, negative_prompt, ..."
        },
    )
    fps: float | None = setting(
        "Frames per second of the generated videos, for rewards that sample by time.", default=None
    )
    reward_weights: dict[str, float] | str | None = field(
        default=None,
        metadata={
            "help": "{dimension: weight} of the training reward, as JSON; None: the reward's own."
        },
    )
    generation_batch_size: int = setting("Videos that are generated at once.", default=1)
    free_text_encoder: bool = setting(
        "Encode all prompts first, then take the text encoders off the device.", default=True
    )
    checkpoint_decode: bool = setting(
        "Recompute the VAE's decode in the backward pass, chunk by chunk.", default=True
    )
    sample_steps: int = setting(
        "Generate and log sample videos every so many steps; 0: never.", default=0
    )
    num_samples: int = setting("Prompts that sample videos are made of.", default=2)
    watch_limit: float | None = setting(
        "Drift of a watched statistic, in its own standard deviations at the start, that is "
        "reported; None: the watch only logs.",
        default=None,
    )
    watch_baseline: int = setting("Observations that the watch's start is taken from.", default=4)
    watch_action: str = setting("What a reported drift does: warn or stop.", default="warn")

    learning_rate: float = setting("Peak learning rate.", default=1e-4)
    remove_unused_columns: bool = setting(
        "Must stay False: extra columns reach the pipeline.", default=False
    )
    max_grad_norm: float = setting("Gradients are clipped to this norm.", default=1.0)
    logging_steps: float = setting("Steps between logs.", default=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_launcher()
        if self.lora_rank < 1:
            raise ValueError(f"lora_rank is {self.lora_rank}; it must be at least 1")
        if self.generation_batch_size < 1:
            raise ValueError(
                f"generation_batch_size is {self.generation_batch_size}; it must be at least 1"
            )
        if self.watch_action not in ("warn", "stop"):
            raise ValueError(f"watch_action is {self.watch_action!r}; choose warn or stop")
        if self.remove_unused_columns:
            raise ValueError("remove_unused_columns must be False: columns reach the pipeline")
        taken = {"prompt", "generator", "latents", "output_type", "return_dict"}
        if clash := sorted(taken & self.call_kwargs.keys()):
            raise ValueError(f"generation_kwargs names {', '.join(clash)}, which the trainer sets")

    def _check_launcher(self) -> None:
        """Raise where a launcher would shard or round the weights in a way that cannot be used."""
        check_sharding(self)
        plugin = self.deepspeed_plugin
        if plugin is None:
            return
        halves = [
            name
            for name in ("bf16", "fp16")
            if self.mixed_precision == name
            or plugin.deepspeed_config.get(name, {}).get("enabled") is True
        ]
        if halves:
            raise ValueError(
                f"DeepSpeed's {halves[0]} rounds the LoRA weights, whose updates are too small for "
                f"it; leave {halves[0]} out (mixed_precision: 'no' in accelerate's file), the "
                "pipeline keeps the dtype that it was loaded in"
            )

    @property
    def weights(self) -> dict[str, float] | None:
        """`reward_weights`, read."""
        return cast("dict[str, float] | None", self.reward_weights or None)

    @property
    def call_kwargs(self) -> dict[str, Any]:
        """`generation_kwargs`, read."""
        return cast("dict[str, Any]", self.generation_kwargs or {})

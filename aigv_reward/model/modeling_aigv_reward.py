"""The quality model: three encoders, three projections, one language model, four answers."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.utils import ModelOutput

from aigv_reward.dimensions import Dimension
from aigv_reward.encoders import (
    FastConfig,
    FastPathway,
    FrameToken,
    SemanticTower,
    SwinConfig,
    VideoSwin,
    init_encoder_weights,
)
from aigv_reward.model.checkpointing import (
    checkpoint_layers,
    is_checkpointed,
    uncheckpoint_layers,
)
from aigv_reward.model.configuration_aigv_reward import AIGVRewardConfig
from aigv_reward.regressor.llm import LevelRegressor, build_language_model, check_attention

NOT_QUANTIZED = (
    "semantic",
    "technical",
    "motion",
    "semantic_projection",
    "technical_projection",
    "motion_projection",
    # By the end of their names: the output heads of transformers' models, and peft's adapters.
    "lm_head",
    "embed_out",
    "lora_A.default",
    "lora_B.default",
)
"""Modules that a `BitsAndBytesConfig` leaves alone: all but the layers of the language model."""


@dataclass
class AIGVRewardOutput(ModelOutput):
    """What the quality model returns.

    Attributes:
        scores: (B, Q), one column a dimension of `dimensions`, within the level values' range.
        level_logits: (B, Q, 5), best level first, before division by `logit_divisor`.
        semantic_tokens: (B, N, H), one a key frame.
        motion_tokens: (B, F, H), one a frame of the fast clip.
        technical_tokens: (B, R, H), R repetitions of one token.
    """

    scores: Tensor | None = None
    level_logits: Tensor | None = None
    semantic_tokens: Tensor | None = None
    motion_tokens: Tensor | None = None
    technical_tokens: Tensor | None = None


class AIGVRewardModel(PreTrainedModel):
    """Scores technical, motion, semantic and overall quality from a video's three views.

    References:
        "Towards Holistic Visual Quality Assessment of AI-Generated Videos: A LLM-Based
        Multi-Dimensional Evaluation Model" (arXiv 2506.04715).
    """

    config_class = AIGVRewardConfig
    config: AIGVRewardConfig
    base_model_prefix = "aigv_reward"
    main_input_name = "key_frames"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    # The tower's and the language model's own are added when they are built.
    _no_split_modules = ["SwinBlock", "FastPathway"]
    _skip_keys_device_placement = ["past_key_values"]

    def __init__(self, config: AIGVRewardConfig) -> None:
        check_attention(config)
        super().__init__(config)
        self.llm = build_language_model(config.text_config)
        embeddings = cast(nn.Embedding, self.llm.get_input_embeddings())
        width = embeddings.weight.shape[1]
        frame_token = cast(FrameToken, config.semantic_frame_token)
        self.semantic = SemanticTower(config.semantic_config, frame_token)
        self.technical = VideoSwin(SwinConfig(**cast(dict[str, Any], config.technical_config)))
        self.motion = FastPathway(FastConfig(**cast(dict[str, Any], config.motion_config)))
        self.semantic_projection = nn.Linear(self.semantic.out_dim, width)
        self.technical_projection = nn.Linear(self.technical.out_dim, width)
        self.motion_projection = nn.Sequential(
            nn.Linear(self.motion.out_dim, width), nn.GELU(), nn.Linear(width, width)
        )
        self.prompt_format = config.prompt_format
        towers = self.semantic.tower._no_split_modules or []
        self._no_split_modules = [*type(self)._no_split_modules, *towers]
        self.post_init()
        # FSDP refuses names of parts that are not there, such as those of BLIP's text model.
        classes = {type(module).__name__ for module in self.modules()}
        self._no_split_modules = sorted(set(self._no_split_modules) & classes)
        if config.lora is not None:
            from peft import LoraConfig, inject_adapter_in_model

            # After post_init, which would initialise lora_B like any linear layer and not to 0.
            inject_adapter_in_model(LoraConfig(**config.lora), self.llm)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str] | None,
        *model_args: Any,
        quantization_config: BitsAndBytesConfig | None = None,
        output_loading_info: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The model of a folder or hub id, in eval mode; see `PreTrainedModel.from_pretrained`.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, a hub id, or None
                with `config` and `state_dict`.
            model_args: go to `PreTrainedModel.from_pretrained`.
            quantization_config: 8 or 4 bits for the language model's layers; the encoders,
                projections, output head and LoRA keep their precision.
            output_loading_info: return (model, info) instead of the model.
            kwargs: `dtype`, `device_map`, `attn_implementation`, ...

        Raises:
            ValueError: weights are missing, unexpected or of another shape, `quantization_config`
                is not a `BitsAndBytesConfig`, or flash attention is asked for.
        """
        if quantization_config is not None:
            if not isinstance(quantization_config, BitsAndBytesConfig):
                raise ValueError(
                    f"quantization_config is a {type(quantization_config).__name__}; the language "
                    "model is quantised by bitsandbytes only: pass a BitsAndBytesConfig"
                )
            kwargs["quantization_config"] = copy.deepcopy(quantization_config)
            asked = quantization_config.llm_int8_skip_modules or []
            skipped = [*NOT_QUANTIZED, *(name for name in asked if name not in NOT_QUANTIZED)]
            kwargs["quantization_config"].llm_int8_skip_modules = skipped
        # Reported below with the names, rather than raised without.
        kwargs["ignore_mismatched_sizes"] = True
        loaded: Any = super().from_pretrained(
            pretrained_model_name_or_path, *model_args, output_loading_info=True, **kwargs
        )
        model, info = loaded
        wrong = {
            name: sorted(map(str, info[name]))
            for name in ("missing_keys", "unexpected_keys", "mismatched_keys")
            if info.get(name)
        }
        if wrong:
            raise ValueError(
                f"weights of {str(pretrained_model_name_or_path)!r} do not fit its config: {wrong}"
            )
        return (model, info) if output_loading_info else model

    def forward(
        self,
        key_frames: Tensor,
        fragments: Tensor,
        fast: Tensor,
        *,
        dimensions: Sequence[Dimension] | None = None,
        text_ids: Sequence[Sequence[int] | None] | None = None,
    ) -> AIGVRewardOutput:
        """Scores of a batch of videos from their normalised views.

        Args:
            key_frames: (B, N, 3, S, S), for the semantic tower.
            fragments: (B, M, 3, G*P, G*P), for the technical encoder.
            fast: (B, F, 3, R, R), for the motion encoder.
            dimensions: the questions to ask; default all that the checkpoint has.
            text_ids: token ids of each video's text prompt, or None where there is none.

        Raises:
            ValueError: a dimension has no question in this checkpoint, or none is asked.
        """
        return self.answer(
            self.encode("semantic", key_frames),
            self.encode("motion", fast),
            self.encode("technical", fragments),
            dimensions=dimensions,
            text_ids=text_ids,
        )

    def encode(self, name: str, view: Tensor) -> Tensor:
        """Features of a view; means over it and its mirror image where the config says so.

        Args:
            name: "semantic", "motion" or "technical".
            view: (B, N, 3, S, S), the view that this encoder reads.
        """
        encoder: nn.Module = getattr(self, name)
        features: Tensor = encoder(view)
        return (features + encoder(view.flip(-1))) / 2 if self.config.mirrored else features

    def answer(
        self,
        semantic: Tensor,
        motion: Tensor,
        technical: Tensor,
        *,
        dimensions: Sequence[Dimension] | None = None,
        text_ids: Sequence[Sequence[int] | None] | None = None,
    ) -> AIGVRewardOutput:
        """Scores from the encoders' features, which may have been computed before.

        Args:
            semantic: (B, N, C_semantic), what `semantic` returns.
            motion: (B, F, C_motion), what `motion` returns.
            technical: (B, C_technical), what `technical` returns.
            dimensions: see `forward`.
            text_ids: see `forward`.

        Raises:
            ValueError: a dimension has no question in this checkpoint, or none is asked.
        """
        names = self.prompt_format.dimensions if dimensions is None else tuple(dimensions)
        if not names:
            raise ValueError(
                f"dimensions is empty; ask for some of {', '.join(self.prompt_format.dimensions)}"
            )
        for name in names:
            if name not in self.prompt_format.questions:
                raise ValueError(
                    f"unknown dimension {name!r}; this checkpoint answers "
                    f"{', '.join(self.prompt_format.dimensions)}"
                )
        semantic = self.semantic_projection(semantic)  # (B, N, H)
        motion = self.motion_projection(motion)  # (B, F, H)
        technical = self.technical_projection(technical)  # (B, H)
        technical = technical[:, None].expand(-1, self.config.technical_repeats, -1)
        regressor = LevelRegressor(self.llm, self.prompt_format)
        logits = regressor(semantic, motion, technical, dimensions=names, text_ids=text_ids)
        return AIGVRewardOutput(
            scores=self.levels_to_scores(logits),
            level_logits=logits,
            semantic_tokens=semantic,
            motion_tokens=motion,
            technical_tokens=technical,
        )

    def levels_to_scores(self, level_logits: Tensor) -> Tensor:
        """Expected level value: (..., 5) logits -> (...), in float32 or wider."""
        wide = level_logits.to(torch.promote_types(level_logits.dtype, torch.float32))
        values = torch.tensor(self.config.level_values, dtype=wide.dtype, device=wide.device)
        return (wide / self.config.logit_divisor).softmax(dim=-1) @ values

    def merge_lora(self) -> AIGVRewardModel:
        """Fold the LoRA weights into the language model, for speed; returns self.

        Raises:
            ValueError: the language model is quantised.
        """
        from peft.tuners.tuners_utils import BaseTunerLayer

        adapted: list[tuple[str, Any]] = [
            (n, m) for n, m in self.llm.named_modules() if isinstance(m, BaseTunerLayer)
        ]
        for name, module in adapted:
            if not module.get_base_layer().weight.is_floating_point():
                raise ValueError(
                    f"{name} is quantised and LoRA cannot be merged into it; load the model "
                    "without quantization_config"
                )
        for name, module in adapted:
            module.merge(safe_merge=True)
            self.llm.set_submodule(name, module.get_base_layer())
        self.config.lora = None
        return self

    def gradient_checkpointing_enable(  # type: ignore[override]
        self,
        gradient_checkpointing_kwargs: dict[str, Any] | None = None,
        *,
        every_n_layers: int = 1,
        offload: bool = False,
    ) -> None:
        """Recompute encoder blocks and language model layers in the backward pass.

        Unlike transformers' own switch it also works in eval mode, where a reward runs.

        Args:
            gradient_checkpointing_kwargs: options of `torch.utils.checkpoint.checkpoint`.
            every_n_layers: recompute only every n-th layer.
            offload: keep what the recomputation starts from in host memory.

        Raises:
            ValueError: an option is unknown, or the reentrant variant is asked for.
        """
        self.gradient_checkpointing_disable()
        checkpoint_layers(
            self._layers()[::every_n_layers],
            offload=offload,
            **(gradient_checkpointing_kwargs or {}),
        )

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations again."""
        uncheckpoint_layers(self._layers())

    @property
    def is_activation_checkpointing(self) -> bool:
        """Whether some layer is recomputed in the backward pass."""
        return any(is_checkpointed(layer) for layer in self._layers())

    @property
    def is_gradient_checkpointing(self) -> bool:
        """The older name of `is_activation_checkpointing`."""
        return self.is_activation_checkpointing

    def _layers(self) -> list[nn.Module]:
        layers = [
            layer
            for encoder in (self.semantic, self.technical, self.motion)
            for layer in encoder.checkpointed_layers()
        ]
        depth = self.llm.config.num_hidden_layers
        stacks = [m for m in self.llm.base_model.modules() if isinstance(m, nn.ModuleList)]
        return layers + list(next((stack for stack in stacks if len(stack) == depth), []))

    def get_input_embeddings(self) -> nn.Module:
        """The language model's token embeddings."""
        return self.llm.get_input_embeddings()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, PreTrainedModel):
            return
        init_encoder_weights(module)

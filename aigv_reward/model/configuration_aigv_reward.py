"""Every width of the quality model, its prompt, its sampling and what its scores mean."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any, ClassVar, get_args

import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

from aigv_reward.dimensions import DIMENSIONS, Dimension
from aigv_reward.encoders import FastConfig, FrameToken, SwinConfig
from aigv_reward.regressor.prompt import PromptFormat
from aigv_reward.views import ViewSampling

PUBLISHED_SEMANTIC: dict[str, Any] = {
    "model_type": "blip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 16,
    "layer_norm_eps": 1e-6,
    "initializer_range": 0.02,
}
PUBLISHED_TEXT: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 32001,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
}
PUBLISHED_LORA: dict[str, Any] = {
    "r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "target_modules": ["q_proj", "v_proj"],
}


class AIGVRewardConfig(PretrainedConfig):
    """Configuration of `AIGVRewardModel`; the defaults are the published model's.

    Attributes:
        text_config: config of any causal language model that `AutoModelForCausalLM` knows.
        semantic_config: config of a vision tower.
        semantic_frame_token: "cls" or "pooled", which of the tower's outputs stands for a frame.
        technical_config: fields of `SwinConfig`.
        motion_config: fields of `FastConfig`.
        technical_repeats: how often the technical token is repeated in the prompt.
        mirrored: the encoders' features are means over each view and its mirror image, so that a
            mirrored video scores the same but for the places of the patches.
        lora: fields of peft's `LoraConfig` for the language model, or None.
        prompt: `PromptFormat.to_dict()`.
        sampling: `ViewSampling.to_dict()`: which frames and pixels are looked at.
        level_values: what each level word is worth, best word first.
        logit_divisor: level logits are divided by it before the softmax.
        trained: dimensions that this checkpoint was trained to answer.
        calibration: {dimension: {"mean", "std", "percentiles"}} over `calibration_set`, or None.
        calibration_set: name of the videos that `calibration` was computed on.
        score_version: bumped whenever anything changes this checkpoint's scores.
        source: where the weights come from, for converted checkpoints with their sha256.
    """

    model_type = "aigv_reward"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": AutoConfig,
        "semantic_config": AutoConfig,
    }

    text_config: Any = None
    semantic_config: Any = None
    semantic_frame_token: str = "cls"
    technical_config: dict[str, Any] | None = None
    motion_config: dict[str, Any] | None = None
    technical_repeats: int = 32
    mirrored: bool = False
    lora: dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    sampling: dict[str, Any] | None = None
    level_values: list[float] | tuple[float, ...] = (5.0, 4.0, 3.0, 2.0, 1.0)
    logit_divisor: float = 1.0
    trained: list[str] | tuple[str, ...] = ()
    calibration: dict[str, Any] | None = None
    calibration_set: str | None = None
    score_version: str = "0"
    source: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        for name, default in (
            ("text_config", PUBLISHED_TEXT),
            ("semantic_config", PUBLISHED_SEMANTIC),
        ):
            with _reading(self, name):
                setattr(self, name, _sub_config(name, getattr(self, name), default))
        for name, cls in (("technical_config", SwinConfig), ("motion_config", FastConfig)):
            with _reading(self, name):
                setattr(self, name, _widths(name, getattr(self, name) or {}, cls))
        if self.lora is not None:
            from peft import LoraConfig  # seconds to import, and not every checkpoint needs it

            with _reading(self, "lora"):
                _check_fields("lora", self.lora, LoraConfig)
        with _reading(self, "prompt"):
            prompt = (
                PromptFormat.from_dict(self.prompt) if self.prompt else PromptFormat.published()
            )
            self.prompt = prompt.to_dict()
        with _reading(self, "sampling"):
            sampling = (
                ViewSampling.from_dict(self.sampling) if self.sampling else ViewSampling.published()
            )
            self.sampling = sampling.to_dict()
        with _reading(self, "level_values"):
            self.level_values = [float(value) for value in self.level_values]
        with _reading(self, "trained"):
            self.trained = list(self.trained)
        self._validate(prompt, sampling, kwargs)
        self.trained = [name for name in DIMENSIONS if name in self.trained]
        super().__post_init__(**kwargs)

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The values of a `config.json`, before anything is made of them.

        Raises:
            ValueError: the file holds something other than an object.
        """
        values, unused = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if not isinstance(values, dict):
            raise ValueError(
                f"config.json of checkpoint {str(pretrained_model_name_or_path)!r} holds a "
                f"{type(values).__name__}, not an object; restore what save_pretrained wrote"
            )
        return values, unused

    def _validate(
        self, prompt: PromptFormat, sampling: ViewSampling, unknown: Mapping[str, Any]
    ) -> None:
        own = sorted(type(self).__annotations__)
        for name in unknown:  # transformers keeps extra keys of its own in a config
            if close := get_close_matches(name, own, n=1, cutoff=0.8):
                raise ValueError(f"unknown config key {name!r}; did you mean {close[0]!r}?")
        if self.semantic_frame_token not in get_args(FrameToken):
            raise ValueError(
                f"semantic_frame_token {self.semantic_frame_token!r} is unknown; choose "
                f"{' or '.join(get_args(FrameToken))}"
            )
        if len(self.level_values) != 5:
            raise ValueError(
                f"level_values has {len(self.level_values)} entries; give 5, best first"
            )
        for name, kind in (("logit_divisor", Real), ("technical_repeats", Integral)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a number")
        if not self.logit_divisor > 0:
            raise ValueError(f"logit_divisor {self.logit_divisor} must be above 0")
        if self.technical_repeats < 1:
            raise ValueError(f"technical_repeats {self.technical_repeats} must be at least 1")
        missing = [name for name in self.trained if name not in prompt.dimensions]
        if missing:
            raise ValueError(
                f"trained names {missing}, but the prompt asks only about "
                f"{', '.join(prompt.dimensions)}; add their questions"
            )
        rows = getattr(self.text_config, "vocab_size", None)
        if rows is not None and prompt.largest_id >= rows:
            raise ValueError(
                f"the prompt has token id {prompt.largest_id}, the language model knows "
                f"0..{rows - 1}; make the prompt with its own tokenizer or raise vocab_size"
            )
        assert self.motion_config is not None
        known, frames = self.motion_config["max_frames"], sampling.fast.num_frames
        if frames > known:
            raise ValueError(
                f"sampling takes {frames} frames for motion, which knows positions of {known}; "
                "raise motion_config's max_frames or sample fewer"
            )
        if self.calibration is not None:
            with _reading(self, "calibration"):
                self._validate_calibration(prompt, self.calibration)

    def _validate_calibration(self, prompt: PromptFormat, calibration: Mapping[str, Any]) -> None:
        if not self.calibration_set:
            raise ValueError("calibration needs calibration_set; name the videos it stands for")
        for name, values in calibration.items():
            if name not in prompt.dimensions:
                raise ValueError(
                    f"calibration of {name!r}, but the prompt asks only about "
                    f"{', '.join(prompt.dimensions)}; remove it"
                )
            if not {"mean", "std"} <= set(values) or not values["std"] > 0:
                raise ValueError(
                    f"calibration of {name!r} is {dict(values)}; give mean, and std above 0"
                )

    @property
    def prompt_format(self) -> PromptFormat:
        """The prompt as its dataclass."""
        assert self.prompt is not None
        return PromptFormat.from_dict(self.prompt)

    @property
    def view_sampling(self) -> ViewSampling:
        """The sampling as its dataclass."""
        assert self.sampling is not None
        return ViewSampling.from_dict(self.sampling)

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Dimensions that this checkpoint has a question for."""
        return self.prompt_format.dimensions


@contextmanager
def _reading(config: AIGVRewardConfig, name: str) -> Iterator[None]:
    """What a field of the wrong type or shape does, as an error that names the field.

    Raises:
        ValueError: instead of whatever the block stumbles over; its own stay as they are.
    """
    try:
        yield
    except (TypeError, AttributeError, LookupError, ArithmeticError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"config field {name!r} cannot be read ({type(error).__name__}: {reason}); restore the "
            "value that save_pretrained wrote"
        ) from error


def _widths(name: str, values: Mapping[str, Any], cls: Any) -> dict[str, Any]:
    """The fields of an encoder's config, all of them numbers or lists of numbers."""
    _check_fields(name, values, cls)
    widths: dict[str, Any] = asdict(cls(**values))
    for field, value in widths.items():
        for number in value if isinstance(value, list | tuple) else (value,):
            if not isinstance(number, Real) or not float(number) > 0:
                raise ValueError(f"{name} has {field} {value!r}; give numbers above 0")
    return widths


def _check_fields(name: str, values: Mapping[str, Any], cls: type) -> None:
    known = {field.name for field in fields(cls) if field.init}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"{name} has unknown keys {unknown}; its keys are {sorted(known)}")


def _sub_config(name: str, values: Any, default: dict[str, Any]) -> PretrainedConfig:
    if isinstance(values, PretrainedConfig):
        return values
    values = dict(values or default)
    if "model_type" not in values:
        raise ValueError("a sub-config has no 'model_type'; name its architecture, e.g. 'llama'")
    if values["model_type"] not in CONFIG_MAPPING:
        raise ValueError(
            f"{name} has the model_type {values['model_type']!r}, which transformers "
            f"{transformers.__version__} does not know; name an architecture that it has"
        )
    return AutoConfig.for_model(values.pop("model_type"), **values)

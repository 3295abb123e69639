"""Settings of DeepSpeed that would fail late are refused; DeepSpeed itself is no dependency."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aigv_reward.training.sharding import check_deepspeed

GATHER = "stage3_gather_16bit_weights_on_model_save"


def arguments(stage: int, config: dict[str, Any], mixed_precision: str = "no") -> Any:
    plugin = SimpleNamespace(zero_stage=stage, deepspeed_config=config)
    return SimpleNamespace(deepspeed_plugin=plugin, mixed_precision=mixed_precision)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_float32_and_autocast_pass(stage: int) -> None:
    check_deepspeed(
        arguments(
            stage,
            {
                "bf16": {"enabled": False},
                "torch_autocast": {"enabled": True, "dtype": "bfloat16"},
                "zero_optimization": {"stage": stage, GATHER: stage == 3},
            },
        )
    )


@pytest.mark.parametrize(
    "made, message",
    [
        (arguments(2, {"bf16": {"enabled": True}}), "DeepSpeed's bf16 casts .* leave bf16 out"),
        (arguments(2, {}, "fp16"), "DeepSpeed's fp16 casts .*torch_autocast"),
        (arguments(3, {"zero_optimization": {"stage": 3}}), f"ZeRO stage 3 without {GATHER} saves"),
        (arguments(3, {"zero_optimization": {GATHER: "auto"}}), "set it to true"),
    ],
)
def test_what_fails_late_is_refused(made: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_deepspeed(made)

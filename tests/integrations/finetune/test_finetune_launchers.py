"""Launchers that shard or round a denoiser's weights are refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aigv_reward.integrations.finetune import FlowGRPOConfig


def test_fsdp_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = "FSDP shards the denoiser's weights, .* use DeepSpeed's ZeRO stage 1 or 2, or plain"
    with pytest.raises(ValueError, match=message):
        FlowGRPOConfig(output_dir=str(tmp_path), use_cpu=True, fsdp=True)  # type: ignore[arg-type]
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")  # as accelerate's file says it
    with pytest.raises(ValueError, match=message):
        FlowGRPOConfig(output_dir=str(tmp_path), use_cpu=True)


@pytest.mark.parametrize(
    "stage, config, precision, message",
    [
        (3, {}, "no", "ZeRO stage 3 shards the denoiser's weights"),
        (2, {"bf16": {"enabled": True}}, "no", "DeepSpeed's bf16 rounds .*leave bf16 out"),
        (2, {"fp16": {"enabled": False}}, "fp16", "DeepSpeed's fp16 rounds"),
        (2, {"bf16": {"enabled": False}}, "no", None),
        (1, {}, "no", None),
    ],
)
def test_deepspeed(
    tmp_path: Path, stage: int, config: dict[str, Any], precision: str, message: str | None
) -> None:
    """DeepSpeed is no dependency: its plugin stands in by what is read of it."""
    args = FlowGRPOConfig(output_dir=str(tmp_path), use_cpu=True)
    args.deepspeed_plugin = SimpleNamespace(zero_stage=stage, deepspeed_config=config)
    args.mixed_precision = precision
    if message is None:
        args._check_launcher()
        return
    with pytest.raises(ValueError, match=message):
        args._check_launcher()

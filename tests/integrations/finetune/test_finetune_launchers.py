"""Launchers that shard or round a denoiser's weights are refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aigv_reward.integrations.finetune import FlowGRPOConfig
from aigv_reward.integrations.finetune.sharding import check_checkpoint


@pytest.mark.parametrize(
    "config, message",
    [({"version": 1}, "FSDP1 cannot shard"), ({"cpu_offload": True}, "leave fsdp_offload_params")],
)
def test_fsdp_that_pipelines_cannot_run_in(
    tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    settings: dict[str, Any] = {"output_dir": str(tmp_path), "use_cpu": True, "fsdp": True}
    FlowGRPOConfig(**settings)
    with pytest.raises(ValueError, match=message):
        FlowGRPOConfig(**settings, fsdp_config=config)


@pytest.mark.parametrize(
    "environment, message",
    [
        ({}, "fsdp_version is 1; .* set fsdp_version: 2"),
        ({"FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "true"}, "leave fsdp_offload_params out"),
        ({"FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "false"}, None),
    ],
)
def test_fsdp_by_an_accelerate_file(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    message: str | None,
) -> None:
    """Its launcher passes the file on in the environment."""
    for name, value in {"ACCELERATE_USE_FSDP": "true", **environment}.items():
        monkeypatch.setenv(name, value)
    if message is None:
        FlowGRPOConfig(output_dir=str(tmp_path), use_cpu=True)
        return
    with pytest.raises(ValueError, match=message):
        FlowGRPOConfig(output_dir=str(tmp_path), use_cpu=True)


@pytest.mark.parametrize(
    "files, saved", [(["optimizer.pt"], False), (["optimizer.bin"], True), ([], None)]
)
def test_an_optimizer_goes_on_as_it_was_saved(
    tmp_path: Path, files: list[str], saved: bool | None
) -> None:
    """`save_only_model` leaves none, and transformers begins a new one."""
    for name in files:
        (tmp_path / name).touch()
    for sharded in (False, True):
        if saved is None or saved == sharded:
            check_checkpoint(tmp_path, sharded=sharded)
            continue
        with pytest.raises(ValueError, match=f"was saved {'under' if saved else 'without'} FSDP"):
            check_checkpoint(tmp_path, sharded=sharded)


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

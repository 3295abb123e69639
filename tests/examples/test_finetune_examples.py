"""The fine-tuning scripts, on a tiny pipeline in a folder."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import load_config_from_file

EXAMPLES = Path(__file__).parents[2] / "examples"
RECIPES = EXAMPLES / "wan2.1-1.3b"
SIZE = {
    "height": 32, "width": 48, "num_frames": 5, "num_inference_steps": 2, "max_sequence_length": 32,
}  # fmt: skip
OWN: dict[str, list[str]] = {
    "backprop": ["--method", "draft"],
    "grpo": ["--group_size", "2", "--generation_batch_size", "2"],
    "dpo": ["--online", "true", "--group_size", "2"],
    "nft": ["--group_size", "2"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("tiny_wan", EXAMPLES / "tiny_wan.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path_factory.mktemp("pipeline")
    module.tiny_wan().save_pretrained(path)
    return path


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_script_trains_and_saves(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a cat\na dog\n")
    arguments: dict[str, Any] = {
        "model": folder, "prompts": prompts, "dtype": "float32", "output_dir": tmp_path / "out",
        "generation_kwargs": json.dumps(SIZE), "fps": 8, "max_steps": 1, "use_cpu": "true",
        "report_to": "none", "lora_rank": 2, "per_device_train_batch_size": 1,
        "disable_tqdm": "true", "save_strategy": "no",
    }  # fmt: skip
    run(name, [*words_of(arguments), *OWN[name]], monkeypatch)
    assert (tmp_path / "out" / "pytorch_lora_weights.safetensors").exists()


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_recipe_trains_a_tiny_model(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe of Wan2.1-1.3B; sizes, devices and counts alone are others."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a cat\na dog\n")
    arguments: dict[str, Any] = {
        "config": RECIPES / f"{name}.yaml", "model": folder, "prompts": prompts,
        "dtype": "float32", "output_dir": tmp_path / "out",
        "generation_kwargs": json.dumps(SIZE | {"num_inference_steps": 5}),
        "max_steps": 1, "use_cpu": "true", "bf16": "false", "report_to": "none",
        "disable_tqdm": "true", "save_strategy": "no", "sample_steps": 0,
        "gradient_accumulation_steps": 1, "per_device_train_batch_size": 1,
    }  # fmt: skip
    if name in ("grpo", "nft"):
        arguments |= {"group_size": 2, "generation_batch_size": 2}
    run(name, words_of(arguments), monkeypatch)
    assert (tmp_path / "out" / "pytorch_lora_weights.safetensors").exists()


@pytest.mark.parametrize("processes", [1, 8])
def test_accelerate_reads_a_recipe_of_devices(processes: int) -> None:
    config = load_config_from_file(str(RECIPES / f"accelerate_{processes}gpu.yaml"))
    assert config.num_processes == processes
    assert config.mixed_precision == "bf16"
    assert config.use_cpu is False


def test_accelerate_reads_the_recipe_of_deepspeed() -> None:
    config = load_config_from_file(str(RECIPES / "accelerate_8gpu_zero2.yaml"))
    assert config.distributed_type == "DEEPSPEED" and config.num_processes == 8
    assert config.deepspeed_config == {"zero_stage": 2}
    assert config.mixed_precision == "no"  # which the trainers ask for


def test_accelerate_reads_the_recipe_of_fsdp2() -> None:
    config = load_config_from_file(str(RECIPES / "accelerate_8gpu_fsdp2.yaml"))
    assert config.distributed_type == "FSDP" and config.num_processes == 8
    assert config.fsdp_config["fsdp_version"] == 2


def words_of(arguments: dict[str, Any]) -> list[str]:
    return [str(word) for key, value in arguments.items() for word in (f"--{key}", value)]


def run(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [f"finetune_{name}.py", *words])
    runpy.run_path(str(EXAMPLES / f"finetune_{name}.py"), run_name="__main__")

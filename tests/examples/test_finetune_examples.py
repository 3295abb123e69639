"""The fine-tuning scripts, on a tiny pipeline in a folder."""

from __future__ import annotations

import importlib.util
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = {"height": 32, "width": 48, "num_frames": 5, "num_inference_steps": 2}
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
    words = [str(word) for key, value in arguments.items() for word in (f"--{key}", value)]
    monkeypatch.setattr(sys, "argv", [f"finetune_{name}.py", *words, *OWN[name]])
    runpy.run_path(str(EXAMPLES / f"finetune_{name}.py"), run_name="__main__")
    assert (tmp_path / "out" / "pytorch_lora_weights.safetensors").exists()

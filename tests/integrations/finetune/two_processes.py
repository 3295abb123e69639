"""Trains in one process, then in two as a launcher starts them: two_processes.py FOLDER.

They are forked, so that the libraries are loaded once. FOLDER gets 1.json and 2.json.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aigv_reward.integrations import finetune
from aigv_reward.integrations.finetune import dpo, grpo, nft, reward_backprop  # noqa: F401

KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "backprop": (finetune.RewardBackpropTrainer, finetune.RewardBackpropConfig, {}),
    "grpo": (finetune.FlowGRPOTrainer, finetune.FlowGRPOConfig, {"group_size": 3}),
    "dpo": (finetune.VideoDPOTrainer, finetune.VideoDPOConfig, {"online": True, "group_size": 2}),
    "nft": (finetune.NFTTrainer, finetune.NFTConfig, {"group_size": 3}),
}


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    return 10 * (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))


def tiny_pipelines() -> Any:
    path = Path(__file__).parents[1] / "diffusers" / "tiny_pipelines.py"
    spec = importlib.util.spec_from_file_location("tiny_pipelines", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_pipelines"] = module
    spec.loader.exec_module(module)
    return module


def train(rank: int, port: int, count: int, out: str, build: Any) -> None:
    torch.set_num_threads(1)
    if count > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    found = {}
    for kind, (cls, config, own) in KINDS.items():
        made = build("ltx")
        args = config(
            output_dir=tempfile.mkdtemp(),
            max_steps=3,
            per_device_train_batch_size=2 // count,
            learning_rate=1e-2,
            lora_rank=2,
            generation_kwargs=dict(made.kwargs),
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
            seed=0,
            **own,
        )
        trainer = cls(made.pipe, warmth, args, ["a cat", "a dog", "a bird", "a fish"])
        trainer.train()
        found[kind] = [
            {key: entry[key] for key in ("loss", "grad_norm", "reward/total")}
            for entry in trainer.state.log_history
            if "loss" in entry
        ]
    if rank == 0:
        Path(out).write_text(json.dumps(found))


def launch(count: int, out: str, build: Any) -> int:
    """The worst exit status of the processes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=train, args=(rank, free, count, out, build)) for rank in range(count)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return max(abs(process.exitcode or 0) for process in ranks)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    build = tiny_pipelines().build
    sys.exit(max(launch(count, str(folder / f"{count}.json"), build) for count in (1, 2)))

"""Trains in one process, then in two: python -m tests.integrations.finetune.two_processes FOLDER.

FOLDER gets one.json, two.json and, from two processes that shard the denoiser by FSDP2,
sharded.json; likewise one/, two/ and sharded/ with what each trainer saves.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.tensor import DTensor

from aigv_reward.integrations import finetune
from aigv_reward.integrations.finetune import dpo, grpo, nft, reward_backprop  # noqa: F401
from tests.launching import launch, let_cpus_shard

# Of Wan 2.2 a step calls one of two experts, by its noise level.
KINDS: dict[str, tuple[str, Any, Any, dict[str, Any]]] = {
    "backprop": (
        "ltx",
        finetune.RewardBackpropTrainer,
        finetune.RewardBackpropConfig,
        {"sample_steps": 1},
    ),
    "grpo": (
        "wan_22",
        finetune.FlowGRPOTrainer,
        finetune.FlowGRPOConfig,
        {"group_size": 3, "sde_steps": 1},
    ),
    "dpo": (
        "wan_22",
        finetune.VideoDPOTrainer,
        finetune.VideoDPOConfig,
        {"online": True, "group_size": 2},
    ),
    "nft": ("wan_22", finetune.NFTTrainer, finetune.NFTConfig, {"group_size": 3}),
}


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    """Red over blue; all videos of a dog are alike, so that its groups are dropped."""
    red = 10 * (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))
    return red * 0 if prompts[0] == "a dog" else red


def tiny_pipelines() -> Any:
    path = Path(__file__).parents[1] / "diffusers" / "tiny_pipelines.py"
    spec = importlib.util.spec_from_file_location("tiny_pipelines", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tiny_pipelines"] = module
    spec.loader.exec_module(module)
    return module


def train(rank: int, count: int, out: Path, shard: bool, build: Any) -> None:
    if shard:
        let_cpus_shard()
    found = {}
    for kind, (pipeline, cls, config, own) in KINDS.items():

        def trainer(
            pipeline: str = pipeline,
            cls: Any = cls,
            config: Any = config,
            own: Any = own,
            kind: str = kind,
            **more: Any,
        ) -> Any:
            made = build(pipeline)
            short = made.kwargs | {"num_inference_steps": 2}
            if pipeline == "wan_22":
                short |= {"height": 16, "width": 32, "num_frames": 5}
            settings = {
                "output_dir": str(out / kind),
                "max_steps": 2,
                "per_device_train_batch_size": 2 // count,
                "learning_rate": 1e-2,
                "lora_rank": 2,
                "generation_kwargs": short,
                "report_to": [],
                "use_cpu": True,
                "disable_tqdm": True,
                "save_strategy": "no",
                "seed": 0,
                "fsdp": shard,
            }
            args = config(**(settings | own | more))
            prompts = ["a cat", "a dog", "a bird", "a fish"]
            return cls(made.pipe, warmth, args, prompts)

        resumes = shard and kind == "nft"
        first = trainer(save_strategy="steps", save_steps=1) if resumes else trainer()
        first.train()
        first.save_model(str(out / kind / "end"))
        found[kind] = logged(first)
        if shard:
            assert all(isinstance(weight, DTensor) for weight in first.model.parameters())
        if resumes:
            again = trainer()
            again.train(resume_from_checkpoint=str(out / kind / "checkpoint-1"))
            found["resumed"] = logged(again)
    if rank == 0:
        out.with_suffix(".json").write_text(json.dumps(found))


def logged(trainer: Any) -> list[dict[str, float]]:
    names = ("loss", "grad_norm", "reward/total", "groups/dropped")
    return [
        {name: entry[name] for name in names if name in entry}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    build = tiny_pipelines().build
    runs = {"one": 1, "two": 2, "sharded": 2}
    sys.exit(
        max(
            launch(train, count, count, folder / name, name == "sharded", build)
            for name, count in runs.items()
        )
    )

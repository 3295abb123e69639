"""Hooks and trainers on the CPU and on an accelerator, as JSON.

python -m tests.integrations.on_other_device FOLDER TRAINER[,TRAINER] PIPELINE ...
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from aigv_reward import FilterRules
from aigv_reward.integrations.diffusers import RewardFilter, RewardGuidance, best_of_n, steer
from tests.integrations.finetune.two_processes import KINDS, tiny_pipelines
from tests.other_device import other_device

ANYBODY = FilterRules(minimum={"overall": -100.0})


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    return {"overall": 10 * (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))}


def hooks(made: Any) -> dict[str, Any]:
    """Rewards by each hook."""
    given = {"progress": False} | made.kwargs
    with RewardFilter(made.pipe, warmth, ANYBODY, looks=[0.75]) as watch:
        ranked = best_of_n(made.pipe, warmth, "a cat", 2, seed=0, batch_size=2, **given)
    steered = steer(
        made.pipe, warmth, "a cat", seed=0, particles=2, looks=(0.5, 0.75), noise_level=0.3,
        **given,
    )  # fmt: skip
    with RewardGuidance(made.pipe, warmth, scale=20.0, start=0.5, fps=16):
        guided = best_of_n(made.pipe, warmth, "a cat", 1, seed=0, **given)
    return {
        "best_of_n": ranked.total.tolist(),
        "RewardFilter": [float(look.scores["overall"]) for look in watch.looks],
        "steer": steered.total.tolist(),
        "RewardGuidance": guided.total.tolist(),
    }


def trained(build: Any, name: str, kind: str, folder: Path, device: str) -> list[float]:
    """Losses and gradient norms."""
    _, trainer_class, config, own = KINDS[kind]
    made = build(name)
    if kind == "grpo" and name.startswith("cogvideox"):
        own = own | {"sampler": "ddim", "noise_level": 1.0}
    args = config(
        output_dir=str(folder / device / kind), max_steps=2, learning_rate=1e-2, lora_rank=2,
        generation_kwargs=dict(made.kwargs), report_to=[], disable_tqdm=True, save_steps=1,
        use_cpu=device == "cpu", seed=0, **own,
    )  # fmt: skip
    assert args.device.type == device
    trainer = trainer_class(made.pipe, warmth, args, ["a cat", "a dog"])
    trainer.train()
    assert all(weight.device.type == device for weight in trainer.model.parameters())
    trainer.train(resume_from_checkpoint=str(folder / device / kind / "checkpoint-1"))
    trainer.close()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [entry[name] for entry in logs for name in ("loss", "grad_norm", "reward/total")]


def measured(
    folder: Path, kinds: list[str], names: list[str], build: Any, device: str
) -> dict[str, Any]:
    os.environ["ACCELERATE_TORCH_DEVICE"] = device
    found = {}
    for name in names:
        made = build(name)
        made.pipe.to(device)
        found[name] = hooks(made)
        for kind in kinds:
            found[name][kind] = trained(build, name, kind, folder, device)
    return found


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    build = tiny_pipelines().build
    gc.freeze()  # as in tests/conftest.py
    folder, kinds, names = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3:]
    name, in_use = other_device()
    result = {"cpu": measured(folder, kinds, names, build, "cpu")}
    with in_use:
        result["elsewhere"] = measured(folder, kinds, names, build, name)
    (folder / "found.json").write_text(json.dumps(result))

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

FRAMES = {"mochi": 7, "animatediff": 6, "animatediff_euler": 6}  # of the others 5


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    return 10 * (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))


@pytest.fixture
def toy() -> Any:
    """A differentiable reward of red over blue."""
    return warmth


@pytest.fixture
def trainer(tiny: Callable[[str], Any], tmp_path: Path) -> Callable[..., Any]:
    """`trainer(kind, pipeline, **settings)`: one of the four, on a tiny pipeline.

    `pipeline_class` is another that is made of its components.
    """
    from aigv_reward.integrations import finetune

    kinds: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "backprop": (finetune.RewardBackpropTrainer, finetune.RewardBackpropConfig, {}),
        "grpo": (
            finetune.FlowGRPOTrainer,
            finetune.FlowGRPOConfig,
            {"group_size": 4, "generation_batch_size": 4},
        ),
        "dpo": (
            finetune.VideoDPOTrainer,
            finetune.VideoDPOConfig,
            {"online": True, "beta": 100.0, "generation_batch_size": 4},
        ),
        "nft": (
            finetune.NFTTrainer,
            finetune.NFTConfig,
            {"group_size": 4, "generation_batch_size": 4},
        ),
    }

    def make(
        kind: str,
        name: str,
        *,
        reward: Any = warmth,
        rows: Any = ("a cat", "a dog"),
        judge: Any = None,
        callbacks: Any = (),
        pipeline_class: Any = None,
        **settings: Any,
    ) -> Any:
        cls, config, own = kinds[kind]
        made = tiny(name)
        if kind == "grpo" and name.startswith(("cogvideox", "animatediff")):
            own = own | {"sampler": "ddim", "noise_level": 1.0}
        defaults: dict[str, Any] = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 2,
            "lora_rank": 4,
            "generation_kwargs": made.kwargs | {"num_frames": FRAMES.get(name, 5)},
            "report_to": [],
            "use_cpu": True,
            "disable_tqdm": True,
            "save_strategy": "no",
            "lr_scheduler_type": "constant",
            "seed": 0,
        }
        args = config(**(defaults | own | settings))
        pipe = made.pipe if pipeline_class is None else pipeline_class(**made.pipe.components)
        return cls(pipe, reward, args, list(rows), judge=judge, callbacks=list(callbacks))

    return make


@pytest.fixture
def rewards_of() -> Callable[..., Tensor]:
    """Rewards of a trainer's pipeline over eight fixed noises."""

    def measure(trainer: Any, reward: Any = warmth) -> Tensor:
        prompts = ["a cat"] * 8
        frames = trainer.pipe(
            prompt=prompts,
            generator=[torch.Generator().manual_seed(1000 + seed) for seed in range(8)],
            output_type="pt",
            **trainer.args.generation_kwargs,
        ).frames
        with torch.no_grad():
            rewards: Tensor = reward(frames, prompts, fps=16.0)
        return rewards

    return measure

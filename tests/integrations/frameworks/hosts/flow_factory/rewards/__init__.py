"""As much of Flow-Factory as a reward meets: arguments, loading by dotted path, the processor."""

from __future__ import annotations

import importlib
import inspect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch


@dataclass
class RewardArguments:
    reward_model: str
    name: str = "default"
    weight: float = 1.0
    dtype: torch.dtype = torch.bfloat16
    device: torch.device = field(default_factory=lambda: torch.device("cuda"))
    batch_size: int = 16
    extra_kwargs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, entry: dict[str, Any]) -> RewardArguments:
        known = {k: v for k, v in entry.items() if k in cls.__dataclass_fields__}
        if "dtype" in known:
            known["dtype"] = getattr(torch, known["dtype"])
        extra = {k: v for k, v in entry.items() if k not in cls.__dataclass_fields__}
        return cls(**known, extra_kwargs=extra)


@dataclass
class RewardModelOutput:
    rewards: Any
    extra_info: dict[str, Any] | None = None


class PointwiseRewardModel:
    required_fields: tuple[str, ...] = ("image", "prompt")
    use_tensor_inputs = False

    def __init__(self, config: RewardArguments, accelerator: Any) -> None:
        self.accelerator, self.config = accelerator, config
        on_cuda = config.device == torch.device("cuda")
        self.device = accelerator.device if on_cuda else config.device
        self.dtype = config.dtype
        self.model: torch.nn.Module | None = None


def load_reward_model(entry: dict[str, Any], accelerator: Any) -> Any:
    config = RewardArguments.from_dict(entry)
    module, _, name = config.reward_model.rpartition(".")
    return getattr(importlib.import_module(module), name)(config=config, accelerator=accelerator)


class RewardProcessor:
    """Scores samples in batches, from a worker thread; knows models by their base class alone."""

    def __init__(self, models: dict[str, Any]) -> None:
        self.models = {k: m for k, m in models.items() if isinstance(m, PointwiseRewardModel)}

    def compute(self, samples: list[SimpleNamespace]) -> dict[str, torch.Tensor]:
        with ThreadPoolExecutor(1) as pool:
            return {
                name: torch.cat(
                    [
                        pool.submit(self._batch, model, samples[i : i + size]).result()
                        for size in [model.config.batch_size]
                        for i in range(0, len(samples), size)
                    ]
                )
                for name, model in self.models.items()
            }

    def _batch(self, model: Any, samples: list[SimpleNamespace]) -> torch.Tensor:
        assert model.use_tensor_inputs
        known = inspect.signature(model.__call__).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in known.values())
        batch = {
            name: [getattr(sample, name) for sample in samples]
            for name, value in vars(samples[0]).items()
            if (takes_all or name in known) and value is not None
        }
        self.output = model(**batch)
        return torch.as_tensor(self.output.rewards, device="cpu", dtype=torch.float32)

"""Trains in two processes: python -m tests.training.quality.two_processes CONFIG.json ..."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torch.distributed.tensor import DTensor

from aigv_reward.training.config_file import parse_config
from aigv_reward.training.feature_cache import weights_digest
from aigv_reward.training.quality_run import prepare_run
from tests.launching import launch, let_cpus_shard


def train(rank: int, config: dict[str, Any]) -> None:
    if config.get("fsdp"):
        let_cpus_shard()
    run = prepare_run(*parse_config(config))
    run.train()
    model = run.trainer.accelerator.unwrap_model(run.trainer.model)
    if config.get("fsdp"):
        assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
    else:
        print(f"\nrank {rank}: {weights_digest(model.state_dict())}", flush=True)


if __name__ == "__main__":
    configs = [json.loads(Path(name).read_text()) for name in sys.argv[1:]]
    sys.exit(max(launch(train, 2, config) for config in configs))

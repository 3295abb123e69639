"""Trains in two processes, as a launcher starts them: python two_processes.py CONFIG.json.

They are forked, so that the libraries are loaded once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
from typing import Any

import torch

from aigv_reward.training.config_file import parse_config
from aigv_reward.training.feature_cache import weights_digest
from aigv_reward.training.quality_run import prepare_run


def train(rank: int, port: int, config: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    run = prepare_run(*parse_config(config))
    run.train()
    model = run.trainer.accelerator.unwrap_model(run.trainer.model)
    print(f"\nrank {rank}: {weights_digest(model.state_dict())}", flush=True)


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        given = json.load(file)
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=train, args=(rank, free, given)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    sys.exit(max(abs(process.exitcode or 0) for process in ranks))

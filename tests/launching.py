"""Processes as `accelerate launch` starts them, forked: the libraries are loaded once."""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType


def launch(work: Callable[..., None], count: int, *args: Any) -> int:
    """Call work(rank, *args) in each of some processes; returns the worst exit status."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    gc.collect()
    gc.freeze()  # as in tests/conftest.py
    context = multiprocessing.get_context("fork")
    ranks = [
        context.Process(target=_process, args=(work, rank, count, port, args))
        for rank in range(count)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return max(abs(process.exitcode or 0) for process in ranks)


def _process(work: Callable[..., None], rank: int, count: int, port: int, args: Any) -> None:
    torch.set_num_threads(1)
    if count > 1:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    work(rank, *args)


def let_cpus_shard() -> None:
    """accelerate runs FSDP on accelerators only: let this process pass for one that has some."""
    begin = PartialState.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_XPU

    PartialState.__init__ = init

"""The Ray cluster that scores, and how many actors it has room for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

# Read when Ray starts a cluster.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray

from aigv_reward.corpus import PoolError


@contextmanager
def cluster() -> Iterator[None]:
    """The cluster that this process is in, else one that is joined or started, and left at the end.

    Joined is that of RAY_ADDRESS or one that runs on this machine.

    Raises:
        PoolError: no cluster answers there, or it refuses this process.
    """
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.WARNING)
    except ConnectionError as error:  # an OSError, but the run folder is in order
        where = os.environ.get("RAY_ADDRESS", "on this machine")
        raise PoolError(
            f"the Ray cluster {where} cannot be joined ({error}); start it with ray start, or give "
            "the address and token of one that runs in RAY_ADDRESS and RAY_AUTH_TOKEN"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def default_device() -> str:
    """Cuda where the cluster has GPUs, else cpu."""
    return "cuda" if ray.cluster_resources().get("GPU", 0) >= 1 else "cpu"


def check_device(device: str) -> None:
    """Refuse a device that the cluster's actors will not have.

    Raises:
        ValueError: one GPU by its number, or a GPU where the cluster has none.
    """
    if device.startswith("cuda:"):
        raise ValueError(f"device is {device!r}, but Ray gives each actor its GPU; say cuda")
    if device == "cuda" and default_device() != "cuda":
        found = ", ".join(f"{name} {n:g}" for name, n in sorted(_plain_resources().items()))
        raise ValueError(f"device is 'cuda', but the cluster has no GPU (it has {found}); say cpu")


def room(device: str, worker_bytes: int) -> int:
    """Actors that the cluster can run: one a GPU, or one a CPU as far as memory reaches.

    One CPU stays free, for whatever else the cluster has to do; at least one actor.
    """
    has = ray.cluster_resources()
    if device == "cuda":
        return max(1, int(has.get("GPU", 0)))
    cores = int(has.get("CPU", 0)) - 1
    return max(1, min(cores, int(has.get("memory", 0)) // worker_bytes))


def _plain_resources() -> dict[str, float]:
    return {name: n for name, n in ray.cluster_resources().items() if name in ("CPU", "GPU")}

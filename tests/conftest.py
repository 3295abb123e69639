"""What every test needs: no model hub, few threads, reproducible property tests."""

from __future__ import annotations

import gc
import os

# Before anything imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import pytest
import torch
from hypothesis import settings

# Shared machines make a time limit on one example flaky; derandomised runs can be repeated.
settings.register_profile("aigv_reward", deadline=None, derandomize=True)
settings.load_profile("aigv_reward")


@pytest.fixture(scope="session", autouse=True)
def _libraries_are_no_garbage() -> None:
    """Leaves what the imports made, 650,000 objects, out of every collection to come.

    They take a third of a second each time, and every trainer collects when it begins.
    """
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """What a test draws from torch's own generator does not depend on the tests before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """Tiny models run slower on many threads than on two."""
    torch.set_num_threads(min(torch.get_num_threads(), 2))

"""What every test needs: no model hub, few threads, reproducible property tests."""

from __future__ import annotations

import gc
import json
import os
import shutil
from pathlib import Path

# Before anything imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import pytest
import torch
from hypothesis import settings

import aigv_reward

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


@pytest.fixture(scope="session")
def light_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled default, looking at fewer frames: a quarter of its time.

    For tests that score or climb many times; what it does with all its frames is tested elsewhere.
    """
    folder = tmp_path_factory.mktemp("light") / "lite"
    shutil.copytree(Path(aigv_reward.__file__).parent / "checkpoints" / "lite", folder)
    config = json.loads((folder / "config.json").read_text())
    for view, frames in (("key_frames", 1), ("fragments", 2), ("fast", 8)):
        config["sampling"][view]["num_frames"] = frames
    (folder / "config.json").write_text(json.dumps(config))
    return folder

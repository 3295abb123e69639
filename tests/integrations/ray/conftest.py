from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
# Tests import ray_scorer, and so do the cluster's processes.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def cluster_address() -> Iterator[str]:
    """A cluster of two CPUs, and of two GPUs that it believes in, that this process has joined."""
    paths = [str(REPOSITORY), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        environment.setenv("RAY_worker_niceness", "0")  # else all other tests go first
        from aigv_reward.integrations.ray.cluster import ray  # with telemetry off

        ray.init(num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False)
        try:
            yield ray.get_runtime_context().gcs_address
        finally:
            ray.shutdown()


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of files named .mp4 that the scorer of these tests knows what to do with."""

    def make(*contents: str) -> Path:
        folder = tmp_path / "in"
        folder.mkdir()
        for number, content in enumerate(contents):
            (folder / f"{number:02d}.mp4").write_text(content)
        return folder

    return make


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "shards").iterdir())}


@pytest.fixture
def shard_files() -> Callable[[Path], dict[str, bytes]]:
    """Reads the files of a run's shards."""
    return files

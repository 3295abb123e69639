"""A scorer without a model: a file's content says what happens. As a script, it is a driver."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aigv_reward.corpus.inputs import find_corpus
from aigv_reward.corpus.item import Item
from aigv_reward.corpus.item_scoring import Prepared
from aigv_reward.corpus.item_source import open_item
from aigv_reward.corpus.limits import Limits
from aigv_reward.corpus.rows import Measured, failure
from aigv_reward.corpus.run_creation import create_run
from aigv_reward.corpus.run_folder import Run


def value_of(content: bytes) -> float:
    return int(hashlib.sha256(content).hexdigest()[:8], 16) / 2**32


LIMITS = Limits(item_timeout=20.0)


@dataclass(frozen=True)
class RaySettings:
    delay: float = 0.0
    fail: bool = False

    def load(self) -> RayScorer:
        if self.fail:
            raise RuntimeError("no such weights")
        return RayScorer(self.delay)


@dataclass(frozen=True)
class RayScorer:
    delay: float

    def prepare(self, item: Item, data: bytes | None = None) -> Prepared:
        content = Path(str(open_item(item, data))).read_bytes()
        word, _, rest = content.decode().partition(" ")
        if word == "KILL":
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "ONCE":  # ends the first actor that looks at it
            try:
                os.rmdir(rest)
            except FileNotFoundError:
                pass
            else:
                word = "ACTOR"
        if word == "ACTOR":
            os.kill(os.getppid(), signal.SIGKILL)
        while word in ("LOOP", "ACTOR"):
            time.sleep(0.01)
        held = []
        while word == "EAT":  # all memory, 16 MiB at a time
            held.append(b"x" * (1 << 24))
        if word == "GPU":  # that this process sees, by its number
            time.sleep(self.delay)
            seen = float(os.environ["CUDA_VISIBLE_DEVICES"])
            return Prepared(item, {"status": "ok", "overall": seen})
        if word == "BAD":
            return Prepared(item, failure("error", "ValueError", "it is bad"))
        time.sleep(self.delay)
        return Prepared(item, {"status": "ok", "overall": value_of(content)})

    def score(self, prepared: Sequence[Prepared]) -> list[Measured]:
        return [one.known for one in prepared]


def planned(inputs: Path, out: Path) -> Run:
    plan = {"shard_size": 3, "batch_size": 1, "checkpoint": {"sha256": "light"}}
    return create_run(out, plan, find_corpus(inputs).items)


def run_on_ray(
    inputs: Path,
    out: Path,
    *,
    settings: RaySettings | None = None,
    limits: Limits = LIMITS,
    part: tuple[int, int] = (1, 1),
    device: str = "cpu",
    count: int = 1,
) -> Run:
    from aigv_reward.integrations.ray.cluster import cluster
    from aigv_reward.integrations.ray.score_corpus import score_missing_on_ray

    run = planned(inputs, out)
    with cluster():
        score_missing_on_ray(run, settings or RaySettings(), device, count, part, limits)
    return run


if __name__ == "__main__":
    import ray_scorer  # what actors are sent must not be of __main__

    delayed = ray_scorer.RaySettings(float(sys.argv[3]))
    ray_scorer.run_on_ray(Path(sys.argv[1]), Path(sys.argv[2]), settings=delayed)

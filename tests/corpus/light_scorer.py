"""A scorer without a model: a file's content says what happens. As a script, it makes a run."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aigv_reward.cli.score_run import corpus_errors
from aigv_reward.corpus.inputs import find_corpus
from aigv_reward.corpus.item import Item
from aigv_reward.corpus.item_scoring import Prepared
from aigv_reward.corpus.item_source import open_item
from aigv_reward.corpus.limits import Limits
from aigv_reward.corpus.rows import Measured, failure
from aigv_reward.corpus.run_creation import create_run
from aigv_reward.corpus.run_folder import Run
from aigv_reward.corpus.shard_feed import score_missing


@dataclass(frozen=True)
class LightSettings:
    delay: float = 0.0
    fail: str = ""  # "raise": the model cannot be loaded; "die": the process ends before it is
    log: str = ""

    def load(self) -> LightScorer:
        if self.log:
            with open(self.log, "a") as log:
                log.write(f"{os.getpid()}\n")
        if self.fail == "raise":
            raise RuntimeError("no such weights")
        if self.fail == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return LightScorer(self.delay)


@dataclass(frozen=True)
class LightScorer:
    delay: float

    def prepare(self, item: Item, data: bytes | None = None) -> Prepared:
        try:
            source = open_item(item, data)
            content = source if isinstance(source, bytes) else Path(source).read_bytes()
        except (OSError, ValueError) as error:
            return Prepared(item, failure("error", type(error).__name__, str(error)))
        if content.startswith(b"KILL"):
            os.kill(os.getpid(), signal.SIGKILL)
        while content.startswith(b"LOOP"):
            pass
        held = []
        while content.startswith(b"EAT"):  # all memory, 16 MiB at a time
            held.append(b"x" * (1 << 24))
        if content.startswith(b"ONCE"):  # kills the first worker that looks at it
            try:
                os.rmdir(content[5:].decode())
            except FileNotFoundError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        if content.startswith(b"BAD"):
            return Prepared(item, failure("error", "ValueError", "it is bad"))
        time.sleep(self.delay)
        value = int(hashlib.sha256(content).hexdigest()[:8], 16) / 2**32
        return Prepared(item, {"status": "ok", "overall": value})

    def score(self, prepared: Sequence[Prepared]) -> list[Measured]:
        return [one.known for one in prepared]


def light_run(
    inputs: object,
    out: Path,
    *,
    workers: int = 2,
    timeout: float = 20.0,
    memory: float = 8.0,
    settings: LightSettings | None = None,
    part: tuple[int, int] = (1, 1),
    ahead: int = 0,
    **plan: object,
) -> Run:
    corpus = find_corpus(inputs)
    facts = {"shard_size": 3, "batch_size": 1, "checkpoint": {"sha256": "light"}} | plan
    run = create_run(out, facts, corpus.items)
    score_missing(
        run,
        corpus,
        [settings or LightSettings()] * workers,
        part,
        Limits(timeout, memory),
        ahead=ahead,
    )
    return run


if __name__ == "__main__":
    folder, out, delay = sys.argv[1:]
    with corpus_errors(Path(out)):  # as the command has it
        light_run([folder], Path(out), settings=LightSettings(delay=float(delay)))

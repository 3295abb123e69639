"""Trains the bundled default, from the encoders of the version before it to its checkpoint.

    python -m aigv_reward.training.default WORK --start lite-2.safetensors

Runs every stage with the numbers below, each in a process of its own; a stage that is marked as
done is not run again, so that an interrupted run goes on. `--start` is the `model.safetensors` of
the version before, whose encoders learn on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

from aigv_reward.training.ladders import HELD_OUT
from aigv_reward.training.warm_up import VIEWS

POOL_CLIPS = 1200
LADDERS, HELD_OUT_LADDERS = 2400, 90
MOTION = ("--steps", "500", "--lr", "1e-3")
SEMANTIC = ("--steps", "760", "--batch", "8", "--lr", "1e-3")
TECHNICAL = ("--steps", "800", "--lr", "4e-4", "--head-scale", "5", "--batch", "6")
LAST = ("--steps", "600", "--batch", "10", "--report-every", "100000")


@dataclass(frozen=True)
class Stage:
    """A module of this package and its arguments; `name` is that of its log and its mark."""

    name: str
    module: str
    arguments: tuple[object, ...]


def stages(work: Path) -> list[list[Stage]]:
    """Every stage in order; those of an inner list run side by side."""
    pool, ladders, start = work / "pool", work / "ladders", work / "start"
    encoders, out = work / "encoders", work / "lite"

    def fresh(name: str, numbers: tuple[str, ...]) -> Stage:
        begin = ("--start", start / f"{name}.safetensors")
        return Stage(name, "fresh_warm_up", (pool, name, encoders, *begin, *numbers))

    def made(name: str, first: int, count: int) -> Stage:
        return Stage(name, "ladders", (ladders, "--first", first, "--count", count))

    technical = ("--start", start / "technical.safetensors", *TECHNICAL)
    return [
        [Stage("pool", "pool", (pool, "--count", POOL_CLIPS))],
        [made("held-out", HELD_OUT, HELD_OUT_LADDERS)],
        [made("ladders", 0, LADDERS)],
        [fresh("motion", MOTION), fresh("semantic", SEMANTIC)],
        [Stage("technical", "warm_up", (ladders, encoders / "technical.safetensors", *technical))],
        [Stage(f"features-{name}", "features", (ladders, name, encoders)) for name in VIEWS],
        [Stage("lite", "lite", (ladders, encoders, out, *LAST))],
    ]


def run(stage: Stage, work: Path) -> None:
    """Run a stage, unless it is marked as done; its output goes to a file of its own.

    Raises:
        RuntimeError: it failed.
    """
    mark, log = work / f"{stage.name}.done", work / f"{stage.name}.log"
    if mark.exists():
        return
    start = time.monotonic()
    command = [sys.executable, "-m", f"aigv_reward.training.{stage.module}"]
    command += [str(argument) for argument in stage.arguments]
    with log.open("w") as file:
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums depend on their order
        code = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=one_thread
        ).returncode
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with status {code}; see {log}")
    mark.touch()
    print(f"{stage.name}: {time.monotonic() - start:.0f} s", flush=True)


def main() -> None:
    """Run what is left of the stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--start", type=Path, required=True, help="weights of the version before")
    args = parser.parse_args()
    begin = args.work / "start"
    begin.mkdir(parents=True, exist_ok=True)
    weights = load_file(args.start)
    for name in VIEWS:
        own = {
            k.removeprefix(f"{name}."): v for k, v in weights.items() if k.startswith(f"{name}.")
        }
        save_file(own, begin / f"{name}.safetensors")
    for together in stages(args.work):
        with ThreadPoolExecutor(len(together)) as pool:
            list(pool.map(lambda stage: run(stage, args.work), together))
    print((args.work / "lite" / "held_out.txt").read_text())


if __name__ == "__main__":
    main()

"""Kills runs of the bundled checkpoint at random moments, resumes them, and compares all rows.

python tests/corpus/kill_runs.py [--victim group|actor] [--engine local|ray] [--kills 12] [--seed 0]

"group" is the command with its workers, killed and started again; "actor" a process that scores on
Ray, killed under a command that goes on. With the engine ray, RAY_ADDRESS names a cluster.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from aigv_reward.corpus import Run, score_corpus
from aigv_reward.distortions import encode_mp4, render_scene

REPOSITORY = Path(__file__).parents[2]
AIGV = [sys.executable, "-m", "aigv_reward"]


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    """The command in a process group of its own."""
    return subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )


def num_shards(run: Path) -> int:
    """Shards that are done."""
    return len(list(run.glob("shards/*.parquet")))


def start_until(command: Sequence[str], run: Path, shards: int) -> subprocess.Popen[str]:
    """The command, started; returns when so many shards are done or it has ended.

    Raises:
        RuntimeError: it ended with an error.
    """
    process = start(command)
    while num_shards(run) < shards and process.poll() is None:
        time.sleep(0.005)
    if process.poll():
        raise RuntimeError(process.communicate()[1])
    return process


def kill_at_random(
    command: Sequence[str], run: Path, draw: random.Random, *, more: int, within: float
) -> int:
    """Start a run, or go on with it, and end its group with SIGKILL.

    Args:
        command: the run.
        run: its folder.
        draw: chooses the moment.
        more: shards that it may write first.
        within: seconds after that, at most.

    Returns:
        How many shards are done then.
    """
    process = start_until(command, run, num_shards(run) + more)
    time.sleep(draw.uniform(0, within))
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return num_shards(run)


def kill_actors(command: Sequence[str], run: Path, draw: random.Random, kills: int) -> list[int]:
    """Let a run on Ray end, while its actors are killed one by one; returns shards at each kill."""
    process, done = start(command), []
    while process.poll() is None:
        time.sleep(draw.uniform(0.2, 3.0))
        actors = [
            p for p in psutil.process_iter(["cmdline"])
            if (p.info["cmdline"] or [""])[0].startswith("ray::ShardActor")
        ]  # fmt: skip
        if actors and len(done) < kills and num_shards(run):
            draw.choice(actors).kill()
            done.append(num_shards(run))
    process.communicate()
    return done


def differences(run: Path, whole: Path) -> list[str]:
    """What of a run is not as in one that nobody disturbed, in words."""
    one, other = Run(run), Run(whole)
    rows, expected = one.finished().to_pylist(), other.finished().to_pylist()
    found = []
    ids = [row["row_id"] for row in rows]
    if ids != [item.row_id(place) for place, item in enumerate(one.items)]:
        found.append("the rows are not those of the plan")
    if len(set(ids)) != len(ids):
        found.append("rows are there twice")
    found += [f"{a['key']} differs" for a, b in zip(rows, expected, strict=True) if a != b]
    for shard in range(one.num_shards):
        if one.shard_path(shard).read_bytes() != other.shard_path(shard).read_bytes():
            found.append(f"shard {shard} is not the same to the bit")
    return found


def make_clips(folder: Path, count: int) -> Path:
    """Small videos, and a file that is none."""
    folder.mkdir()
    for seed in range(count):
        buffer = io.BytesIO()
        scene = render_scene(seed, num_frames=12, height=48, width=64)
        encode_mp4(buffer, scene.frames, 8.0)
        (folder / f"{seed:03d}.mp4").write_bytes(buffer.getvalue())
    (folder / "text.mp4").write_text("no video")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--victim", choices=("group", "actor"), default="group")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = make_clips(Path(name) / "clips", options.clips)
        score_corpus(folder, Path(name) / "whole", workers=1)
        run = Path(name) / "run"
        command = [*AIGV, "score", str(folder), "--out", str(run), "--max-error-rate", "1"]
        command += ["--engine", options.engine, "--workers", str(options.workers)]
        if options.victim == "actor":
            moments = kill_actors(command, run, draw, options.kills)
        else:
            begun = time.monotonic()
            first = start_until(command, run, 1)
            loading = time.monotonic() - begun
            os.killpg(first.pid, signal.SIGKILL)
            first.communicate()
            moments = []
            for _ in range(options.kills):
                more = draw.randint(0, 3)  # 0: while it loads
                within = 0.5 if more else loading
                moments.append(kill_at_random(command, run, draw, more=more, within=within))
        print(f"{len(moments)} killed, when {moments} of {Run(run).num_shards} shards were done")
        subprocess.run(command, check=True, cwd=REPOSITORY)
        found = differences(run, Path(name) / "whole")
    for line in found:
        print(f"WRONG: {line}")
    print("resumed: " + ("NOT " if found else "") + "the rows of an undisturbed run, to the bit")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

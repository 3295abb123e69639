"""Rows a second, start and memory of `score_corpus`: worker counts, a plain loop, decoding, Ray.

python benchmarks/corpus.py [--clips N] [--workers N ...] [--actors N ...] [--repeats N] [--small]
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from clips import write_clip
from timing import Row, begin, parser, print_table, ratios

from aigv_reward import VideoReward, read_video
from aigv_reward.cli.engine import scorer_of

GIB = 1 << 30


@dataclass(frozen=True)
class Sample:
    """One way of going through all clips.

    Attributes:
        rate: rows a second, from when each worker may have written one.
        start: wall seconds before the first row.
        cpu: processor seconds of all processes, their start included.
        supervisor, worker: peaks of resident memory, of the largest worker.
        together: peak of the proportional set sizes of all, bytes; 0 where the system has none.
        table: digest of the rows.
    """

    rate: float
    start: float = 0.0
    cpu: float = 0.0
    supervisor: int = 0
    worker: int = 0
    together: int = 0
    table: str = ""


def loop(paths: Sequence[Path], way: Callable[[Path], object]) -> Sample:
    """A plain loop in this process."""
    before, begun = time.process_time(), time.perf_counter()
    for path in paths:
        way(path)
    seconds = time.perf_counter() - begun
    return Sample(len(paths) / seconds, cpu=time.process_time() - before)


def engine(name: str, count: int, listed: Path, *, verify: bool = True) -> Sample:
    """A run in processes of its own, which are watched."""
    with TemporaryDirectory() as folder:
        asked = json.dumps([name, count, str(listed), f"{folder}/run", verify])
        command = [sys.executable, __file__, asked]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            stop, use = threading.Event(), Use()
            watch = threading.Thread(target=use.watch, args=(process.pid, stop))
            watch.start()
            said = process.communicate()[0]
            stop.set()
            watch.join()
    if process.returncode:
        raise RuntimeError(f"engine {name} with {count} workers ended with {process.returncode}")
    measured = json.loads(said.splitlines()[-1])
    return Sample(
        measured["rate"],
        measured["start"],
        sum(use.cpu.values()),
        use.supervisor,
        use.worker,
        use.together,
        measured["table"],
    )


@dataclass
class Use:
    """What a process and those below it take; the last moments of each are not seen.

    Attributes:
        cpu: {process: seconds}.
        supervisor, worker, together: see `Sample`.
    """

    cpu: dict[int, float] = field(default_factory=dict)
    supervisor: int = 0
    worker: int = 0
    together: int = 0

    def watch(self, pid: int, stop: threading.Event) -> None:
        """Look twice a second, until told to stop."""
        while not stop.wait(0.5):
            together = 0
            with suppress(psutil.Error):
                supervisor = psutil.Process(pid)
                for process in [supervisor, *supervisor.children(recursive=True)]:
                    with suppress(psutil.Error):
                        times, held = process.cpu_times(), process.memory_full_info()
                        self.cpu[process.pid] = times.user + times.system
                        together += getattr(held, "pss", 0)
                        if process.pid == pid:
                            self.supervisor = max(self.supervisor, held.rss)
                        else:
                            self.worker = max(self.worker, held.rss)
            self.together = max(self.together, together)


def run_once(name: str, count: int, listed: str, out: str, verify: bool) -> None:
    """What `engine` starts: a run; prints when its rows came, and what they are."""
    if name == "ray":
        # Ray gives other programs precedence, which on a busy machine is all that one would see.
        os.environ["RAY_worker_niceness"] = "0"
        from aigv_reward.integrations.ray.cluster import ray  # with telemetry off

        ray.init(num_cpus=count + 1, include_dashboard=False, log_to_driver=False)
    score = scorer_of("ray" if name == "ray" else "local")
    begun = time.time()
    run = score(listed, out, device="cpu", workers=count, shard_size=1, verify=verify)
    written = sorted(run.shard_path(shard).stat().st_mtime for shard in range(run.num_shards))
    content = b"".join(run.shard_path(shard).read_bytes() for shard in range(run.num_shards))
    rate = (len(written) - count) / (written[-1] - written[count - 1])
    table = hashlib.sha256(content).hexdigest() if verify else ""
    print(json.dumps({"rate": rate, "start": written[0] - begun, "table": table}))


def main() -> None:
    made = parser(__doc__ or "")
    made.add_argument("--clips", type=int, default=32)
    made.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    made.add_argument("--actors", type=int, nargs="*", default=[1, 2])
    options = made.parse_args()
    begin(options)
    if options.small:
        options.clips, options.workers, options.actors = 4, [1], []
    if options.clips <= (most := max([*options.workers, *options.actors])):
        raise ValueError(f"--clips {options.clips} give {most} workers no rate; name more clips")
    reward = VideoReward.from_pretrained(device="cpu")
    with TemporaryDirectory() as name:
        height, width, frames = (96, 128, 9) if options.small else (480, 832, 81)
        distinct = [
            write_clip(
                Path(name) / f"{seed}.mp4", height=height, width=width, num_frames=frames, seed=seed
            )
            for seed in range(min(4, options.clips))
        ]
        paths = [distinct[place % len(distinct)] for place in range(options.clips)]
        listed = Path(name) / "list.csv"
        listed.write_text("path\n" + "".join(f"{path}\n" for path in paths))
        ways: dict[str, Callable[[], Sample]] = {
            "decoding": lambda: loop(paths, read_video),
            "loop": lambda: loop(paths, lambda path: reward.score([path])),
        }
        if not options.small:
            first = options.workers[0]
            ways["unverified"] = lambda: engine("local", first, listed, verify=False)
        for count in options.workers:
            ways[f"local {count}"] = lambda count=count: engine("local", count, listed)  # type: ignore[misc]
        for count in options.actors:
            ways[f"ray {count}"] = lambda count=count: engine("ray", count, listed)  # type: ignore[misc]
        samples: dict[str, list[Sample]] = {way: [] for way in ways}
        for _ in range(options.repeats):
            for way, run in ways.items():
                samples[way].append(run())
    size = f"{options.clips} clips of {frames} frames at {width}x{height}, batches of one"
    print_table(f"Runs of {size}: rows a second", rate_rows(samples, options.actors), options)
    print_absolute(samples)


def rate_rows(samples: dict[str, list[Sample]], actors: Sequence[int]) -> list[Row]:
    """Ratios of rates, and of processor time."""
    rates = {way: [one.rate for one in some] for way, some in samples.items()}
    cpu = {way: [one.cpu for one in some] for way, some in samples.items()}
    local = [way for way in rates if way.startswith("local")]
    rows = [Row("plain loop of score / decoding alone", ratios(rates["loop"], rates["decoding"]))]
    for way in local:
        rows.append(Row(f"{way} / decoding alone", ratios(rates[way], rates["decoding"])))
        rows.append(Row(f"{way} / plain loop of score", ratios(rates[way], rates["loop"])))
    rows += [Row(f"{way} / {local[0]}", ratios(rates[way], rates[local[0]])) for way in local[1:]]
    first = rates[local[0]]
    if "unverified" in rates:
        name = f"{local[0]}, verify=False / {local[0]}"
        rows.append(Row(name, ratios(rates["unverified"], first)))
    rows.append(
        Row(
            f"processor time, {local[0]} with its start / plain loop",
            ratios(cpu[local[0]], cpu["loop"]),
        )
    )
    for count in actors:
        if f"local {count}" in rates:
            ray, here = f"ray {count}", f"local {count}"
            rows.append(Row(f"{ray} / {here}", ratios(rates[ray], rates[here])))
            rows.append(Row(f"processor time, {ray} / {here}", ratios(cpu[ray], cpu[here])))
    if not actors:
        rows.append(Row("Ray / local engine", remark="no --actors"))
    return rows


def print_absolute(samples: dict[str, list[Sample]]) -> None:
    """Medians of the figures themselves."""

    def median(way: str, name: str) -> float:
        return statistics.median(float(getattr(one, name)) for one in samples[way])

    print(f"\n{'':12}rows/s  first row  CPU s  supervisor  a worker  together (PSS)")
    for way in samples:
        memory = [median(way, name) / GIB for name in ("supervisor", "worker", "together")]
        cells = [f"{median(way, 'rate'):6.2f}", f"{median(way, 'start'):7.1f} s"]
        cells += [f"{median(way, 'cpu'):6.1f}", *(f"{one:6.2f} GiB" for one in memory)]
        print(f"{way:12}" + "  ".join(cells))
    tables = {one.table for some in samples.values() for one in some if one.table}
    print(f"tables of the verified runs: {'the same to the bit' if len(tables) == 1 else 'DIFFER'}")


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1].startswith("["):
        run_once(*json.loads(sys.argv[1]))
    else:
        main()

"""Several ways of doing the same, measured side by side in one process, and a table of ratios."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

Clock = Literal["wall", "cpu"]
Seconds = dict[str, list[float]]

OUT_OF_MEMORY = -1

CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: what is compared with what.
        ratios: one a pair of neighbouring runs; empty where nothing was measured.
        limit: the bound on the median that this project sets itself; None: only reported.
        sense: on which side of `limit` the median should lie.
        remark: absolute figures, or why nothing was measured.
    """

    name: str
    ratios: Sequence[float] = ()
    limit: float | None = None
    sense: Literal["at most", "at least"] = "at most"
    remark: str = ""

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Name, median, spread, limit, verdict and remark, as text."""
        limit = "reported" if self.limit is None else f"{self.sense} {self.limit:g}"
        if not self.ratios:
            return self.name, "-", "-", limit, "-", f"not measured here: {self.remark}"
        median = statistics.median(self.ratios)
        verdict = ""
        if self.limit is not None:
            met = median <= self.limit if self.sense == "at most" else median >= self.limit
            verdict = "met" if met else "MISSED"
        spread = f"{min(self.ratios):.3f}..{max(self.ratios):.3f}"
        return self.name, f"{median:.3f}", spread, limit, verdict, self.remark


def interleave(
    ways: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    device: torch.device,
    clock: Clock = "wall",
    warmup: int = 1,
) -> Seconds:
    """Seconds of each way, run in turn: A B A B, so that what slows the machine slows all.

    Args:
        ways: what to run, by name.
        repeats: rounds that are measured.
        device: waited for inside the measured time, where it works on its own.
        clock: "wall"; or "cpu", the processor time of this process, for a shared machine.
        warmup: rounds before them that are not.
    """
    now = CLOCKS[clock]
    seconds: Seconds = {name: [] for name in ways}
    for turn in range(warmup + repeats):
        for name, way in ways.items():
            _wait(device)
            start = now()
            way()
            _wait(device)
            if turn >= warmup:
                seconds[name].append(now() - start)
    return seconds


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Quotients of neighbouring runs."""
    return [a / b for a, b in zip(over, under, strict=True)]


def medians(seconds: Seconds, *names: str) -> str:
    """Median seconds of some ways, as text."""
    return ", ".join(f"{name} {statistics.median(seconds[name]):.3g} s" for name in names)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peaks_of(script: str, *arguments: str, ways: Sequence[str]) -> dict[str, list[int]]:
    """What `script`, run with `--peak` and the ways, says of each by `report_peak`."""
    command = [sys.executable, script, *arguments, "--peak", *ways]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    said = [int(word) for word in done.stdout.split()]
    each = len(said) // len(ways)
    return {way: said[i * each : (i + 1) * each] for i, way in enumerate(ways)}


def apart(work: Callable[[], None], device: torch.device) -> None:
    """Run `work` so that `report_peak` says what it takes, and nothing that ran before it.

    On the CPU in a fork of this process, which has imported its libraries and no more: its memory
    counts as that of a process of its own, without the seconds of the imports. A fork cannot use a
    GPU, whose memory is counted anew instead; where it does not suffice, `OUT_OF_MEMORY` is said.
    """
    if device.type == "cuda":
        gc.collect()
        torch.cuda.init()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            work()
        except torch.OutOfMemoryError:
            print(OUT_OF_MEMORY)
        return
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    if child.exitcode:
        raise RuntimeError(f"the measured process ended with exit status {child.exitcode}")


def report_peak(device: torch.device) -> None:
    """Print the most memory that this process has held, in bytes: the GPU's, or its own."""
    print(torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident_peak())


def resident_peak() -> int:
    """Most bytes that were resident at once since this program started.

    Linux hands the parent's `ru_maxrss` down to a started program, so its own mark is read there.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def bf16_refusal(device: torch.device) -> str | None:
    """Why bf16 gains nothing on a device; None where it has instructions for it."""
    if device.type == "cuda":
        return None if torch.cuda.is_bf16_supported(False) else "this GPU has no bf16"
    info = Path("/proc/cpuinfo")
    words = set(info.read_text().split()) if info.is_file() else set()
    if words & {"avx512_bf16", "amx_bf16", "bf16"}:
        return None
    return f"no bf16 instructions on this CPU ({torch.backends.cpu.get_cpu_capability()})"


def parser(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks share."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--repeats", type=int, default=5, help="measured rounds")
    made.add_argument("--small", action="store_true", help="tiny widths: shows that it runs")
    made.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    made.add_argument("--threads", type=int, help="torch threads (default: torch's own choice)")
    made.add_argument(
        "--clock",
        choices=tuple(CLOCKS),
        default="wall",
        help="'cpu': processor time of this process, for a machine that others use too",
    )
    return made


def begin(options: argparse.Namespace) -> None:
    """Set the number of threads."""
    if options.repeats < 1:
        raise ValueError(f"--repeats {options.repeats} measures nothing; give at least 1")
    if options.threads is not None:
        torch.set_num_threads(options.threads)


def print_table(title: str, rows: Sequence[Row], options: argparse.Namespace) -> None:
    """Conditions, then one line a row."""
    where = processor()
    if options.device.type == "cuda":
        where = torch.cuda.get_device_name(options.device)
    print(f"\n{title}{' (--small: tiny widths, no result)' if options.small else ''}")
    print(
        f"{where}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads, "
        f"torch {torch.__version__}, {options.clock} clock, {options.repeats} rounds"
    )
    head = ("ratio", "median", "min..max", "limit", "", "")
    lines = [head, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(n) for cell, n in zip(line, widths, strict=True)).rstrip())

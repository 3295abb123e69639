"""What a gradient to the pixels costs, in time and in memory.

python benchmarks/gradients.py [--repeats N] [--small]
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from timing import (
    Row,
    apart,
    begin,
    interleave,
    medians,
    parser,
    peaks_of,
    print_table,
    ratios,
    report_peak,
)
from torch import Tensor
from widths import build_model

from aigv_reward import VideoReward

TIME_LIMIT = 3.2
MEMORY_LIMIT = 2.0
WAYS = ("forward", "gradient", "checkpointed gradient")


def run(way: str, reward: VideoReward, frames: Tensor) -> None:
    """One score of `frames`, with or without its gradient."""
    if way == "forward":
        with torch.no_grad():
            reward(frames)
        return
    if way == "checkpointed gradient":
        reward.model.gradient_checkpointing_enable()
    leaf = frames.clone().requires_grad_()
    reward(leaf).sum().backward()
    assert leaf.grad is not None and bool(leaf.grad.isfinite().all())
    reward.model.gradient_checkpointing_disable()


def make(options: argparse.Namespace) -> tuple[VideoReward, Tensor]:
    """The model, and 49 frames of 480p as a video generator's decoder gives them."""
    reward = VideoReward(build_model(small=options.small, device=options.device))
    size = (9, 3, 64, 96) if options.small else (49, 3, 480, 832)
    generator = torch.Generator().manual_seed(1)
    return reward, torch.rand(1, *size, generator=generator).to(options.device)


def time_rows(options: argparse.Namespace) -> list[Row]:
    """Seconds of the gradient, plain and checkpointed, over those of the score alone."""
    reward, frames = make(options)
    seconds = interleave(
        {way: partial(run, way, reward, frames) for way in WAYS},
        repeats=options.repeats,
        device=options.device,
        clock=options.clock,
        warmup=0 if options.small else 1,
    )
    return [
        Row(
            "time: forward and backward to the pixels / forward",
            ratios(seconds["gradient"], seconds["forward"]),
            TIME_LIMIT,
            remark=medians(seconds, "gradient", "forward"),
        ),
        Row(
            "time: the same with checkpointing / forward",
            ratios(seconds["checkpointed gradient"], seconds["forward"]),
            remark=medians(seconds, "checkpointed gradient"),
        ),
    ]


def memory_rows(options: argparse.Namespace) -> list[Row]:
    """Peak memory of processes apart, weights and libraries included; and beyond those."""
    shared = ["--device", str(options.device)] + (["--small"] if options.small else [])
    if options.threads is not None:
        shared += ["--threads", str(options.threads)]
    peaks = peaks_of(__file__, *shared, ways=WAYS)
    text = ", ".join(f"{way} {peaks[way][1] / 2**30:.2f} GiB" for way in WAYS)
    beyond = {way: max(peaks[way][1] - peaks[way][0], 1) for way in WAYS}
    plain, saving = "gradient", "checkpointed gradient"
    return [
        Row(
            "peak memory: gradient with checkpointing / score alone",
            [peaks[saving][1] / peaks["forward"][1]],
            MEMORY_LIMIT,
            remark=text,
        ),
        Row(
            "peak memory: gradient without checkpointing / score alone",
            [peaks[plain][1] / peaks["forward"][1]],
        ),
        Row(
            "the same beyond weights and frames, with checkpointing",
            [beyond[saving] / beyond["forward"]],
        ),
        Row(
            "the same beyond weights and frames, without checkpointing",
            [beyond[plain] / beyond["forward"]],
        ),
    ]


def measure(way: str, options: argparse.Namespace) -> None:
    """Peaks with the weights and frames alone, and after one score."""
    reward, frames = make(options)
    report_peak(options.device)
    run(way, reward, frames)
    report_peak(options.device)


def main() -> None:
    options_parser = parser("Gradients to the pixels against scores alone.")
    options_parser.add_argument("--peak", choices=WAYS, nargs="+", help=argparse.SUPPRESS)
    options = options_parser.parse_args()
    begin(options)
    if options.peak is None:
        rows = memory_rows(options) + time_rows(options)
        title = "Gradient to the pixels, published widths, 2 LLM layers, fp32, one video"
        print_table(title, rows, options)
        return
    for way in options.peak:
        apart(partial(measure, way, options), options.device)


if __name__ == "__main__":
    main()

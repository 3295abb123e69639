"""What each hook for diffusers costs over plain generation, and the memory of guidance.

python benchmarks/hooks.py [--repeats N] [--width N] [--size TxHxW | --gpu-size] [--small]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from timing import (
    OUT_OF_MEMORY,
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

from aigv_reward import FilterRules, VideoReward
from aigv_reward.integrations.diffusers import (
    RewardFilter,
    RewardGuidance,
    best_of_n,
    decode_latents,
    steer,
)

sys.path.append(str(Path(__file__).resolve().parents[1] / "examples"))
from tiny_wan import SIZES, tiny_wan

WAYS = ("nothing", "plain", "checkpointed", "window")
PROMPT = "a lighthouse above a stormy sea"
STEPS = 8
CANDIDATES = 4
WINDOW = 2
GPU_GB = 48  # of which --gpu-size takes no more, whatever the card has
LATE = 0.75  # guided steps: the last quarter


def pipeline(options: argparse.Namespace) -> Any:
    """The examples' pipeline, with a transformer of the wanted width."""
    pipe: Any = tiny_wan()
    if options.width:
        transformer: Any = WanTransformer3DModel(
            num_attention_heads=max(1, options.width // 64),
            attention_head_dim=64,
            text_dim=16,
            freq_dim=64,
            ffn_dim=4 * options.width,
            num_layers=4,
            rope_max_seq_len=64,
        )
        pipe = WanPipeline(**{**pipe.components, "transformer": transformer.eval()})
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(options.device)


def time_rows(options: argparse.Namespace) -> list[Row]:
    """Seconds with each hook over those of plain generation and scoring."""
    pipe = pipeline(options)
    small, device = options.small, options.device
    model = build_model(small=True, device=device) if small else None
    reward = VideoReward(model) if model else VideoReward.from_pretrained(device=device)
    sizes = {**SIZES, "num_inference_steps": STEPS}
    if small:
        sizes |= {"height": 32, "width": 48, "num_frames": 5, "num_inference_steps": 4}
    steps = sizes["num_inference_steps"]
    guided = steps - int(LATE * steps)

    def generate(count: int = 1) -> None:
        for seed in range(count):
            generator = torch.Generator().manual_seed(seed)
            pipe(PROMPT, generator=generator, output_type="pt", **sizes)

    def within(hook: Callable[[], Any]) -> None:
        with hook():
            generate()

    filtering = partial(RewardFilter, pipe, reward, looks=[0.5], fps=16.0)
    guidance = partial(RewardGuidance, pipe, reward, start=LATE, fps=16.0)
    many: dict[str, Any] = {"fps": 16.0, "seed": 0, "progress": False, **sizes}
    ways: dict[str, Callable[[], object]] = {
        "one": generate,
        "four": partial(generate, CANDIDATES),
        "best of four": lambda: best_of_n(pipe, reward, PROMPT, CANDIDATES, **many),
        "steer": lambda: steer(pipe, reward, PROMPT, particles=CANDIDATES, looks=[0.5], **many),
        "look, kept": lambda: within(partial(filtering, rules=FilterRules({"overall": 0.0}))),
        "look, given up": lambda: within(partial(filtering, rules=FilterRules({"overall": 9.0}))),
        "guided, latents": lambda: within(guidance),
        "guided, denoiser": lambda: within(partial(guidance, through="denoiser")),
    }
    seconds = interleave(
        ways, repeats=options.repeats, device=device, clock=options.clock, warmup=0 if small else 1
    )

    def added(name: str) -> list[float]:
        """Seconds that a guided step adds, in plain steps (decode and text left in)."""
        pairs = zip(seconds[name], seconds["one"], strict=True)
        return [(a - b) / guided / (b / steps) for a, b in pairs]

    return [
        Row(
            "best_of_n, n=4 / four plain calls (the reward is in the first alone)",
            ratios(seconds["best of four"], seconds["four"]),
            remark=medians(seconds, "best of four", "four"),
        ),
        Row(
            "steer, 4 particles, one look / four plain calls",
            ratios(seconds["steer"], seconds["four"]),
            remark=medians(seconds, "steer"),
        ),
        *(
            Row(
                f"RewardFilter, one look half-way, {what} / a plain call",
                ratios(seconds[f"look, {what}"], seconds["one"]),
                remark=medians(seconds, f"look, {what}", "one"),
            )
            for what in ("kept", "given up")
        ),
        *(
            Row(
                f"RewardGuidance through the {what}: a guided step adds, in plain steps",
                added(f"guided, {what}"),
                remark=f"{medians(seconds, f'guided, {what}')}, {guided} of {steps} steps guided",
            )
            for what in ("latents", "denoiser")
        ),
    ]


def video_size(options: argparse.Namespace) -> tuple[int, int, int]:
    """Frames, height and width of the video that the real decoder gives."""
    if options.gpu_size:
        return 81, 480, 832
    return (5, 32, 48) if options.small else options.size


def real_decoder(options: argparse.Namespace) -> tuple[Any, Tensor]:
    """Wan's VAE at its published widths (narrow for --small), random weights, and latents."""
    torch.manual_seed(0)
    widths = {"base_dim": 8, "num_res_blocks": 1} if options.small else {}
    dtype = torch.bfloat16 if options.device.type == "cuda" else torch.float32
    with options.device:
        vae: Any = AutoencoderKLWan(**widths)
        parts = {"vae": vae.eval().requires_grad_(False).to(dtype)}
        if options.gpu_size and not options.small:  # stays in memory while the video is decoded
            denoiser: Any = WanTransformer3DModel(
                num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, num_layers=30
            )
            parts["transformer"] = denoiser.to(dtype)
    frames, height, width = video_size(options)
    latents = torch.randn(1, 16, (frames - 1) // 4 + 1, height // 8, width // 8)
    pipe = SimpleNamespace(scheduler=FlowMatchEulerDiscreteScheduler(), **parts)
    return pipe, latents.to(options.device)


def run(way: str, pipe: Any, latents: Tensor, reward: VideoReward) -> None:
    """The reward's gradient with respect to the latents, as a guided step takes it."""
    if way == "nothing":
        return
    leaf = latents.clone().requires_grad_()
    if way == "plain":
        vae = pipe.vae
        shape = (1, -1, 1, 1, 1)
        mean, std = (
            torch.tensor(values, device=leaf.device).view(shape)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        video = vae.decode((leaf * std + mean).to(vae.dtype), return_dict=False)[0]
        frames = video.float().transpose(1, 2) / 2 + 0.5
    else:
        window = slice(0, WINDOW) if way == "window" else None
        frames = decode_latents(pipe, leaf, window=window)
    reward(frames, fps=16.0).sum().backward()
    assert leaf.grad is not None and bool(leaf.grad.isfinite().all())


def memory_rows(options: argparse.Namespace) -> list[Row]:
    """Peak memory of processes apart that take one gradient, through each kind of decode."""
    shared = ["--device", str(options.device), "--size", "x".join(map(str, options.size))]
    shared += ["--small"] if options.small else []
    shared += ["--gpu-size"] if options.gpu_size else []
    if options.threads is not None:
        shared += ["--threads", str(options.threads)]
    peaks = {way: peak for way, (peak,) in peaks_of(__file__, *shared, ways=WAYS).items()}
    size = "x".join(map(str, video_size(options)))
    beyond = {way: max(peaks[way] - peaks["nothing"], 1) for way in WAYS}
    text = f"{size}, weights and libraries {gib(peaks['nothing'])}"
    names = {
        "checkpointed": "checkpointed, chunked decode / vae.decode",
        "window": f"the same, a window of {WINDOW} latent frames / vae.decode",
    }
    rows = []
    for way, name in names.items():
        remark = ", ".join(f"{each} {gib(peaks[each])}" for each in (way, "plain"))
        known = OUT_OF_MEMORY not in (peaks[way], peaks["plain"])
        rows += [
            Row(
                f"peak memory: {name}",
                [peaks[way] / peaks["plain"]] if known else (),
                remark=remark,
            ),
            Row(
                f"beyond weights: {name}",
                [beyond[way] / beyond["plain"]] if known else (),
                remark=text,
            ),
        ]
    if options.gpu_size:
        guided = peaks["checkpointed"]
        rows.append(
            Row(
                f"GB that a guided step takes, {size}",
                [] if guided == OUT_OF_MEMORY else [guided / 1e9],
                GPU_GB,
                remark=f"{gib(guided)}, a window {gib(peaks['window'])}; no more could be had",
            )
        )
    return rows


def gib(peak: int) -> str:
    """A peak as text."""
    return "out of memory" if peak == OUT_OF_MEMORY else f"{peak / 2**30:.2f} GiB"


def size_of(text: str) -> tuple[int, int, int]:
    """Frames, height and width from "TxHxW"."""
    frames, height, width = (int(word) for word in text.split("x"))
    return frames, height, width


def measure(way: str, options: argparse.Namespace) -> None:
    """The peak after one gradient."""
    if options.gpu_size and options.device.type == "cuda":
        card = torch.cuda.get_device_properties(options.device).total_memory
        torch.cuda.set_per_process_memory_fraction(
            min(1.0, GPU_GB * 1e9 / card), options.device.index or 0
        )
    pipe, latents = real_decoder(options)
    if options.small:
        reward = VideoReward(build_model(small=True, device=options.device))
    else:
        reward = VideoReward.from_pretrained(gradient_checkpointing=True, device=options.device)
    run(way, pipe, latents, reward)
    report_peak(options.device)


def main() -> None:
    options_parser = parser("The hooks for diffusers against plain generation.")
    options_parser.add_argument("--width", type=int, help="of the transformer, in 64s")
    options_parser.add_argument(
        "--size", type=size_of, default=(17, 128, 208), help="of the decoded video, TxHxW"
    )
    options_parser.add_argument(
        "--gpu-size",
        action="store_true",
        help="81x480x832 beside a transformer of Wan 1.3B's widths, for a GPU",
    )
    options_parser.add_argument("--peak", choices=WAYS, nargs="+", help=argparse.SUPPRESS)
    options = options_parser.parse_args()
    begin(options)
    if options.peak is None:
        rows = time_rows(options)
        title = "Hooks on a small Wan, 17x64x96, the bundled reward"
        print_table("Hooks on a tiny Wan" if options.small else title, rows, options)
        title = "A guided step's gradient, Wan's VAE at its published widths, random weights"
        print_table(title, memory_rows(options), options)
        return
    for way in options.peak:
        apart(partial(measure, way, options), options.device)


if __name__ == "__main__":
    main()

"""Whether each trainer raises its reward on tiny random pipelines, on noises held out from it.

    python benchmarks/finetune_gains.py [--trainers T ...] [--pipelines P ...] [--rewards R ...]
        [--seeds S ...] [--steps N] [--noises N] [--trained FOLDER] [--out RUNS.jsonl] [--small]

A run is a trainer, a pipeline, a reward and a seed. All runs of a pipeline start from the same
weights and are judged on the same noises, before and after, as the plain pipeline samples them.
A change of the weights moves most noises one way, so that they agree says little about learning.
So two controls stand beside a gain: training on a random number ("chance"), whose effect is how far
training drifts by itself, and training on minus the reward ("minus-toy", "minus-bundled"), which
must move it the other way.

Random weights draw noise, of which the default's scores say nothing. With `--trained` the pipelines
learn to draw procedural scenes first (`tiny_generators.py`, some minutes each, kept in FOLDER).
`--out` keeps each run as it is done, and a second call with the same settings goes on from there.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from scipy.stats import binomtest, wilcoxon
from timing import processor
from tiny_generators import pretrained, small_latents_of_wan
from torch import Tensor
from transformers import PrinterCallback

from aigv_reward import VideoReward
from aigv_reward.integrations import finetune

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests/integrations/diffusers"))
tiny_pipelines: Any = importlib.import_module("tiny_pipelines")

Run = dict[str, Any]
PROMPT = "a cat"
FPS = 16.0
MINUS = "minus-"
ALIKE = ("trainer", "pipeline", "judge", "seed", "steps")  # of a run and the one by chance
FIRST_NOISE = 1000  # seeds of the held-out noises; those of training are hashes

GROUP: dict[str, Any] = {"group_size": 8, "generation_batch_size": 8}
TRAINERS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "backprop": (
        finetune.RewardBackpropTrainer,
        finetune.RewardBackpropConfig,
        {"max_steps": 8, "backprop_steps": 2},
    ),
    "grpo": (finetune.FlowGRPOTrainer, finetune.FlowGRPOConfig, GROUP | {"max_steps": 12}),
    "dpo": (
        finetune.VideoDPOTrainer,
        finetune.VideoDPOConfig,
        GROUP | {"max_steps": 12, "online": True, "beta": 10.0, "noise_draws": 4},
    ),
    "nft": (
        finetune.NFTTrainer,
        finetune.NFTConfig,
        GROUP | {"max_steps": 16, "reference_weight": 0.0},
    ),
}
# Widths of 20 to 40 need rates a hundred times those of real models, whose updates add up over
# thousands of channels. The shift is that of the pipeline's own schedule.
PIPELINES: dict[str, dict[str, Any]] = {
    "wan": {"learning_rate": 3e-2, "num_frames": 5, "shift": 3.0},
    "cogvideox": {"learning_rate": 1e-2, "num_frames": 5, "shift": 1.0},
    "ltx": {"learning_rate": 3e-2, "num_frames": 9, "shift": 1.6},
    "hunyuan_video": {"learning_rate": 3e-2, "num_frames": 5, "shift": 7.0},
}


def toy(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    """Red over blue."""
    return 10 * (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))


def chance(seed: int) -> Callable[..., Tensor]:
    """A reward that knows nothing of the video."""
    draw = torch.Generator().manual_seed(seed)

    def random(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return torch.randn(len(frames), generator=draw)

    return random


@cache
def bundled() -> VideoReward:
    """The technical score of the default: of its four the one that these noises vary most in."""
    return VideoReward.from_pretrained(weights={"technical": 1.0})


def judge_of(reward: str) -> Callable[..., Tensor]:
    return toy if reward == "toy" else bundled()


def minus(judge: str) -> Callable[..., Tensor]:
    """The same reward, to be made small."""

    def negated(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return -judge_of(judge)(frames, prompts, fps=fps)

    return negated


def taught(reward: str, seed: int) -> Callable[..., Tensor]:
    """What a run is trained on."""
    if reward == "chance":
        return chance(seed)
    return minus(reward.removeprefix(MINUS)) if reward.startswith(MINUS) else judge_of(reward)


@cache
def built(pipeline: str, trained: Path | None) -> tuple[Any, dict[str, Any]]:
    """A pipeline and what it is called with."""
    made, setting = tiny_pipelines.build(pipeline), PIPELINES[pipeline]
    sizes = made.kwargs | {"num_frames": setting["num_frames"]}
    if trained is not None:
        if pipeline != "hunyuan_video":  # its guidance is an input of the model
            sizes["guidance_scale"] = 1.0
        if pipeline == "cogvideox":  # of 5 its VAE makes 8
            sizes["num_frames"] = 9
        if pipeline == "wan":
            small_latents_of_wan(made.pipe)
        trained.mkdir(parents=True, exist_ok=True)
        pretrained(made.pipe, sizes, trained / f"{pipeline}.pt", shift=setting["shift"])
    return made.pipe, sizes


def measure(reward: Callable[..., Tensor], pipe: Any, sizes: dict[str, Any], noises: int) -> Tensor:
    """(noises,) rewards of the held-out noises."""
    seeds = range(FIRST_NOISE, FIRST_NOISE + noises)
    frames = pipe(
        prompt=[PROMPT] * noises,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="pt",
        **sizes,
    ).frames
    with torch.no_grad():
        return torch.cat([reward(video[None], [PROMPT], fps=FPS) for video in frames])


@cache
def start(pipeline: str, trained: Path | None, judge: str, noises: int) -> Tensor:
    """The rewards before training: LoRA begins as no change."""
    pipe, sizes = built(pipeline, trained)
    return measure(judge_of(judge), copy.deepcopy(pipe), sizes, noises)


def train(trainer: str, pipeline: str, reward: str, seed: int, options: Any) -> list[Run]:
    """One run, judged by its reward; one that is taught chance by the others that are asked for."""
    trainer_class, config, own = TRAINERS[trainer]
    pipe, sizes = built(pipeline, options.trained)
    pipe, setting, own = copy.deepcopy(pipe), PIPELINES[pipeline], dict(own)
    if trainer in ("dpo", "nft"):
        own["noise_shift"] = setting["shift"]
    if trainer == "grpo" and pipeline == "cogvideox":
        own |= {"sampler": "ddim", "noise_level": 1.0}
    if options.steps is not None:
        own["max_steps"] = options.steps
    judged = [reward.removeprefix(MINUS)]
    if reward == "chance":
        judged = [name for name in options.rewards if name in ("toy", "bundled")] or ["toy"]
    starts = {name: start(pipeline, options.trained, name, options.noises) for name in judged}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        args = config(
            output_dir=folder,
            per_device_train_batch_size=options.prompts,
            lora_rank=4,
            learning_rate=options.rate or setting["learning_rate"],
            lr_scheduler_type="constant",
            generation_kwargs=sizes,
            fps=FPS,
            seed=seed,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            save_strategy="no",
            **own,
        )
        learner = trainer_class(pipe, taught(reward, seed), args, [PROMPT] * options.prompts)
        learner.remove_callback(PrinterCallback)
        learner.train()
    seconds = time.process_time() - began
    runs = []
    for judge, before in starts.items():
        after = measure(judge_of(judge), pipe, sizes, options.noises)
        runs.append(
            {
                "trainer": trainer,
                "pipeline": pipeline,
                "reward": reward,
                "judge": judge,
                "seed": seed,
                "steps": args.max_steps,
                "settings": settings(options),
                "seconds": round(seconds, 1),
                "before": before.tolist(),
                "after": after.tolist(),
            }
        )
    return runs


def gains(runs: Sequence[Run]) -> Tensor:
    """(runs, noises) after minus before."""
    return torch.stack([torch.tensor(run["after"]) - torch.tensor(run["before"]) for run in runs])


def rises(gain: Tensor) -> float:
    """The one-sided p-value of Wilcoxon's signed ranks that gains of paired noises are above 0."""
    return float(wilcoxon(gain.double().numpy(), alternative="greater").pvalue)


def line(run: Run) -> str:
    """One run."""
    gain = gains([run])[0]
    up = int((gain > 0).sum())
    sign = binomtest(up, len(gain), alternative="greater").pvalue
    return (
        f"{run['trainer']:8} {run['pipeline']:13} {run['reward']:13} by {run['judge']:7} "
        f"seed {run['seed']} {run['steps']:2} steps {run['seconds']:5.1f} s  "
        f"gain {float(gain.mean()):+.4f}  {up} of {len(gain)} rise, sign p {sign:.1e}, "
        f"signed ranks p {rises(gain):.1e}"
    )


def table(runs: Sequence[Run]) -> list[str]:
    """Markdown: a row a trainer, pipeline and reward, then how many runs rise in all."""
    rows = [
        "| trainer | reward | pipeline | start, sd of noises | gain of each seed "
        "| noises that rise | p of each seed | p of all | by chance | on minus the reward |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    own = [run for run in runs if run["reward"] == run["judge"]]
    cells = dict.fromkeys((run["trainer"], run["reward"], run["pipeline"]) for run in own)
    for trainer, reward, pipeline in cells:
        same = [
            run
            for run in runs
            if (run["trainer"], run["judge"], run["pipeline"]) == (trainer, reward, pipeline)
        ]
        chosen = [run for run in same if run["reward"] == reward]
        others = [
            ", ".join(f"{float(gains([run]).mean()):+.3f}" for run in same if run["reward"] == name)
            for name in ("chance", MINUS + reward)
        ]
        gain, before = gains(chosen), torch.tensor(chosen[0]["before"])
        rows.append(
            f"| {trainer} | {reward} | {pipeline} "
            f"| {float(before.mean()):.3f}, {float(before.std()):.3f} "
            f"| {', '.join(f'{value:+.3f}' for value in gain.mean(dim=1))} "
            f"| {', '.join(str(int(up)) for up in (gain > 0).sum(dim=1))} of {gain.shape[1]} "
            f"| {', '.join(f'{rises(one):.0e}' for one in gain)} | {rises(gain.mean(dim=0)):.0e} "
            f"| {others[0]} | {others[1]} |"
        )
    rows.append("")
    for trainer, reward in dict.fromkeys((run["trainer"], run["reward"]) for run in own):
        chosen = [run for run in own if (run["trainer"], run["reward"]) == (trainer, reward)]
        mean = [float(gains([run]).mean()) for run in chosen]
        rows.append(f"{trainer}, {reward}: {_of(mean)} runs rise")
        for name in ("chance", MINUS + reward):
            beyond = [
                gain - float(gains([other]).mean())
                for gain, run in zip(mean, chosen, strict=True)
                for other in runs
                if other["reward"] == name and all(run[key] == other[key] for key in ALIKE)
            ]
            if beyond:
                rows.append(f"{trainer}, {reward}: {_of(beyond)} rise above the same run on {name}")
    return rows


def _of(values: Sequence[float]) -> str:
    up = sum(value > 0 for value in values)
    sign = binomtest(up, len(values), alternative="greater").pvalue
    return f"{up} of {len(values)} (sign p {sign:.1e})"


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What all runs of a file share."""
    names = ("steps", "rate", "prompts", "noises")
    return {name: getattr(options, name) for name in names} | {"trained": bool(options.trained)}


def known(options: argparse.Namespace) -> list[Run]:
    """The runs that are done."""
    path = options.out
    if path is None or not path.exists():
        return []
    runs = [json.loads(text) for text in path.read_text().splitlines()]
    for run in runs:
        if run["settings"] != settings(options):
            raise SystemExit(
                f"{path} holds runs with {run['settings']}, and {settings(options)} is asked for; "
                "give another --out"
            )
    return runs


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Gains of the four trainers on tiny pipelines.")
    parser.add_argument("--trainers", nargs="+", choices=TRAINERS, default=list(TRAINERS))
    parser.add_argument("--pipelines", nargs="+", choices=PIPELINES, default=list(PIPELINES))
    rewards = ("toy", "bundled", "chance", "minus-toy", "minus-bundled")
    parser.add_argument("--rewards", nargs="+", choices=rewards, default=["toy", "chance"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, help="optimizer steps (default: the trainer's)")
    parser.add_argument("--rate", type=float, help="learning rate (default: the pipeline's)")
    parser.add_argument("--prompts", type=int, default=1, help="videos or groups of each step")
    parser.add_argument("--noises", type=int, default=16, help="held-out noises")
    parser.add_argument("--trained", type=Path, help="pipelines that learned scenes, kept there")
    parser.add_argument("--out", type=Path, help="jsonl that runs are added to and gone on from")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own choice)")
    parser.add_argument("--small", action="store_true", help="one short run: shows that it runs")
    options = parser.parse_args()
    if options.small:
        options.trainers, options.pipelines, options.rewards = ["nft"], ["ltx"], ["toy"]
        options.seeds, options.steps, options.noises = [0], 1, 4
    return options


def main() -> None:
    options = arguments()
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    runs = known(options)
    done = {(run["trainer"], run["pipeline"], run["reward"], run["seed"]) for run in runs}
    for reward in options.rewards:
        for trainer in options.trainers:
            if reward == "chance" and trainer == "backprop":
                continue  # a random number has no gradient
            for pipeline in options.pipelines:
                for seed in options.seeds:
                    if (trainer, pipeline, reward, seed) in done:
                        continue
                    for run in train(trainer, pipeline, reward, seed, options):
                        runs.append(run)
                        print(line(run), flush=True)
                        if options.out is not None:
                            with options.out.open("a") as file:
                                file.write(json.dumps(run) + "\n")
    print(f"\nGains on held-out noises{' (--small: no result)' if options.small else ''}")
    print(f"{processor()}, torch {torch.__version__}")
    print("\n".join(table(runs)))


if __name__ == "__main__":
    main()

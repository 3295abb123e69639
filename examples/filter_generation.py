"""Generates candidates, gives up those that look hopeless half-way, and keeps the good ones.

    python examples/filter_generation.py [--candidates 8] [--look 0.5] [--minimum overall=3.0]
    python examples/filter_generation.py --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --minimum motion=3

Videos that a model predicts half-way score lower than what comes of them, so a look has thresholds
of its own, lower by --slack. Without --model, a tiny pipeline of random weights shows how it works:
it makes coloured noise, and its scores mean nothing.
"""

import argparse
from pathlib import Path

import torch
from tiny_wan import load, write_video

from aigv_reward import FilterRules, VideoReward
from aigv_reward.integrations.diffusers import RewardFilter


def threshold(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Filter videos while they are generated.")
    parser.add_argument("--model", help="a pipeline of diffusers: hub id or folder")
    parser.add_argument("--prompt", default="a lighthouse above a stormy sea")
    parser.add_argument("--seed", type=int, default=0, help="of the first candidate")
    parser.add_argument("--fps", type=float, default=16.0)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--look", type=float, default=0.5, help="share of the steps done")
    parser.add_argument(
        "--minimum",
        type=threshold,
        action="append",
        metavar="DIMENSION=SCORE",
        help="least score of a dimension; repeat for more (default: overall=3.0)",
    )
    parser.add_argument("--slack", type=float, default=0.05, help="how much lower for a look")
    parser.add_argument("--out", type=Path, default=Path("filtered"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    pipe, arguments = load(options.model)
    reward = VideoReward.from_pretrained().to(pipe.device)
    minimum = dict(options.minimum or [("overall", 3.0)])
    rules = FilterRules(minimum=minimum)
    lower = FilterRules(minimum={name: value - options.slack for name, value in minimum.items()})
    keep = RewardFilter(
        pipe, reward, rules, looks=[options.look], look_rules=lower, fps=options.fps
    )
    kept: list[int] = []
    with keep:
        for seed in range(options.seed, options.seed + options.candidates):
            generator = torch.Generator().manual_seed(seed)
            out = pipe(prompt=options.prompt, generator=generator, output_type="pt", **arguments)
            if out is None:
                seen = keep.looks[-1]
                verdict = f"given up at step {(seen.step or 0) + 1} of {seen.num_steps}"
            else:
                seen = keep.judge(out.frames.float(), [options.prompt])[0]
                verdict = "kept" if seen.kept else "rejected when finished"
            scores = "  ".join(f"{name} {value:.2f}" for name, value in seen.scores.items())
            print(f"seed {seed}: {scores}  {verdict}")
            for reason in seen.reasons:
                print(f"    {reason}")
            if out is not None and seen.kept:
                kept.append(seed)
                path = options.out / f"seed_{seed}.mp4"
                print(f"    {write_video(path, out.frames[0].float(), options.fps)}")
    total = keep.steps_run + keep.steps_saved
    print(f"{len(kept)} of {options.candidates} kept; {keep.interrupted} given up on the way")
    print(f"{keep.steps_saved} of {total} steps saved")


if __name__ == "__main__":
    main()

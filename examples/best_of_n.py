"""Generates several candidates of one prompt and keeps the best.

    python examples/best_of_n.py [--n 8] [--by motion]
    python examples/best_of_n.py --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --n 8

A candidate can be made again alone from its seed. Without --model, a tiny pipeline of random
weights shows how it works: it makes coloured noise, and its scores mean nothing.
"""

import argparse
from pathlib import Path

from tiny_wan import load, write_video

from aigv_reward import VideoReward
from aigv_reward.integrations.diffusers import best_of_n


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Keep the best of several candidates.")
    parser.add_argument("--model", help="a pipeline of diffusers: hub id or folder")
    parser.add_argument("--prompt", default="a lighthouse above a stormy sea")
    parser.add_argument("--n", type=int, default=6, help="candidates")
    parser.add_argument("--batch-size", type=int, default=1, help="candidates generated at once")
    parser.add_argument("--by", help="dimension that ranks them; default: the reward's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fps", type=float, default=16.0)
    parser.add_argument("--out", type=Path, default=Path("best"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    pipe, arguments = load(options.model)
    reward = VideoReward.from_pretrained().to(pipe.device)
    options.out.mkdir(parents=True, exist_ok=True)
    sheet = options.out / "candidates.png"
    ranked = best_of_n(
        pipe,
        reward,
        options.prompt,
        options.n,
        seed=options.seed,
        batch_size=options.batch_size,
        fps=options.fps,
        weights=None if options.by is None else {options.by: 1.0},
        contact_sheet=sheet,
        **arguments,
    )
    print(ranked)
    mean, best = float(ranked.total.mean()), float(ranked.total.max())
    print(f"\nmean {mean:.3f}, best {best:.3f}: seed {ranked.seeds[ranked.order[0]]}")
    print(sheet)
    print(write_video(options.out / "best.mp4", ranked.frames[0], options.fps))


if __name__ == "__main__":
    main()

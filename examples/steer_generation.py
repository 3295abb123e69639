"""Steers several candidates of one prompt while they are generated.

    python examples/steer_generation.py [--particles 4] [--looks 0.25 0.5 0.75]
    python examples/steer_generation.py --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers

At each look the candidates are weighed by the reward of the video that the model predicts; where
few of them carry the weight, good ones go on in several copies. Without --model, a tiny pipeline of
random weights shows how it works: it makes coloured noise, and its scores mean nothing.
"""

import argparse
from pathlib import Path

from tiny_wan import load, write_video

from aigv_reward import VideoReward
from aigv_reward.integrations.diffusers import best_of_n, steer


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Steer candidates while they are generated.")
    parser.add_argument("--model", help="a pipeline of diffusers: hub id or folder")
    parser.add_argument("--prompt", default="a lighthouse above a stormy sea")
    parser.add_argument("--particles", type=int, default=4)
    parser.add_argument("--looks", type=float, nargs="*", default=[0.25, 0.5, 0.75])
    parser.add_argument("--potential", choices=("difference", "max", "sum"), default="difference")
    parser.add_argument("--strength", type=float, default=50.0)
    parser.add_argument("--noise-level", type=float, help="of the steps; default by schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fps", type=float, default=16.0)
    parser.add_argument("--out", type=Path, default=Path("steered"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    pipe, arguments = load(options.model)
    reward = VideoReward.from_pretrained().to(pipe.device)
    plain = best_of_n(
        pipe, reward, options.prompt, options.particles, seed=options.seed, fps=options.fps,
        batch_size=options.particles, progress=False, **arguments,
    )  # fmt: skip
    steered = steer(
        pipe,
        reward,
        options.prompt,
        seed=options.seed,
        particles=options.particles,
        looks=options.looks,
        potential=options.potential,
        strength=options.strength,
        noise_level=options.noise_level,
        fps=options.fps,
        **arguments,
    )
    print("step  effective sample size  rewards of the predicted videos  go on from")
    for look in steered.looks:
        rewards = " ".join(f"{value:.3f}" for value in look.rewards.tolist())
        print(f"{look.step:4}  {look.ess:21.2f}  {rewards:31}  {look.ancestors or 'themselves'}")
    print()
    print(steered)
    for name, ranked in (("plain", plain), ("steered", steered)):
        mean, best = float(ranked.total.mean()), float(ranked.total.max())
        print(f"{name:8} mean {mean:.3f}, best {best:.3f}")
    print(write_video(options.out / "steered.mp4", steered.frames[0], options.fps))


if __name__ == "__main__":
    main()

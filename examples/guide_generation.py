"""Generates a video plainly and with the reward's guidance, and compares the two.

    python examples/guide_generation.py [--scale 2] [--start 0.6] [--through latents|denoiser]
    python examples/guide_generation.py --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --window 4

Both start from the same noise. Without --model, a tiny pipeline of random weights shows how it
works: it makes coloured noise, and its scores mean nothing.
"""

import argparse
from pathlib import Path

import torch
from tiny_wan import load, write_video

from aigv_reward import VideoReward
from aigv_reward.integrations.diffusers import RewardGuidance


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Guide a generation by the reward.")
    parser.add_argument("--model", help="a pipeline of diffusers: hub id or folder")
    parser.add_argument("--prompt", default="a lighthouse above a stormy sea")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fps", type=float, default=16.0)
    parser.add_argument("--scale", type=float, default=2.0, help="strength of the guidance")
    parser.add_argument("--start", type=float, default=0.6, help="share of the steps left alone")
    parser.add_argument("--through", choices=("latents", "denoiser"), default="latents")
    parser.add_argument("--window", type=int, help="latent frames decoded a step; default: all")
    parser.add_argument("--out", type=Path, default=Path("guided"))
    return parser.parse_args()


def main() -> None:
    options = parse()
    pipe, arguments = load(options.model)
    reward = VideoReward.from_pretrained(gradient_checkpointing=True).to(pipe.device)
    guidance = RewardGuidance(
        pipe,
        reward,
        scale=options.scale,
        start=options.start,
        through=options.through,
        window=options.window,
        fps=options.fps,
    )

    def generate() -> torch.Tensor:
        generator = torch.Generator().manual_seed(options.seed)
        out = pipe(prompt=options.prompt, generator=generator, output_type="pt", **arguments)
        frames: torch.Tensor = out.frames.float()
        return frames

    plain = generate()
    with guidance:
        guided = generate()

    print("step  reward of the predicted video  |gradient|  change, share of the step")
    for seen in guidance.history:
        cut = " (clipped)" if seen.clipped[0] else ""
        print(
            f"{seen.step:4}  {seen.reward[0]:29.4f}  {seen.gradient[0]:10.2e}  "
            f"{seen.share[0]:.3f}{cut}"
        )
    before, after = (
        reward.score(frames, prompts=[options.prompt], fps=options.fps).values
        for frames in (plain, guided)
    )
    print("\ndimension   plain  guided  difference")
    for name, value in before.items():
        change = float(after[name] - value)
        print(f"{name:10}  {float(value):5.3f}  {float(after[name]):6.3f}  {change:+10.3f}")
    for file, frames in (("plain.mp4", plain), ("guided.mp4", guided)):
        print(write_video(options.out / file, frames[0], options.fps))


if __name__ == "__main__":
    main()

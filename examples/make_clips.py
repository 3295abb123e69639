"""Makes the example clips: three procedural scenes, clean and degraded.

    python examples/make_clips.py [FOLDER]        # default: examples/clips

Every clip is 2 s of 384x256 at 16 frames a second, H.264. The same version of the libraries makes
the same files again. What a clip shows and how it was degraded is printed.
"""

import argparse
from pathlib import Path

import torch

from aigv_reward.distortions import distort, encode_mp4, render_scene

FPS = 16.0
NUM_FRAMES = 32
SCENES = {"city": 26, "library": 28, "harbour": 24}
DEGRADED = (
    ("city", "noise", 3),
    ("city", "jitter", 3),
    ("library", "blur", 3),
    ("library", "frame_drop", 4),
    ("harbour", "compression", 4),
    ("harbour", "warp", 3),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the example clips.")
    default = Path(__file__).parent / "clips"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    scenes = {name: render_scene(seed, num_frames=NUM_FRAMES) for name, seed in SCENES.items()}
    total = 0
    for name, scene in scenes.items():
        path = folder / f"{name}_clean.mp4"
        encode_mp4(path, scene.frames, FPS, crf=20, preset="slow")
        total += path.stat().st_size
        print(f"{path.name}: {scene.caption}")
    for name, distortion, severity in DEGRADED:
        path = folder / f"{name}_{distortion}.mp4"
        generator = torch.Generator().manual_seed(SCENES[name])
        frames = distort(scenes[name].frames, distortion, severity, generator=generator, fps=FPS)
        encode_mp4(path, frames, FPS, crf=26 if distortion == "noise" else 20, preset="slow")
        total += path.stat().st_size
        print(f"{path.name}: {distortion}, severity {severity} of 4")
    print(f"{len(scenes) + len(DEGRADED)} clips, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

"""Small clean clips that encoders learn from, degraded afresh at every step of training.

python -m aigv_reward.training.pool POOL --count 1000 --processes 2
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from aigv_reward.distortions import render_scene
from aigv_reward.training.ladders import photographs
from aigv_reward.views.resize import resize

FIRST_SEED = 100_000  # the ladders' scenes have smaller seeds, those held out larger ones
SIDE = 144
NUM_FRAMES = 64
SIZES = ((144, 144), (144, 192), (144, 240), (192, 144))


def pool_clip(number: int) -> tuple[Tensor, str]:
    """(NUM_FRAMES, 3, SIDE, SIDE) uint8, the whole frame squeezed to a square; its caption."""
    height, width = SIZES[number % len(SIZES)]
    scene = render_scene(
        FIRST_SEED + number,
        num_frames=NUM_FRAMES,
        height=height,
        width=width,
        photos=photographs(False),
    )
    return resize(scene.frames, (SIDE, SIDE)), scene.caption


def write_clip(folder: Path, number: int) -> Path:
    """Write one clip, unless it is there, under a temporary name first; returns its path."""
    torch.set_num_threads(1)
    path = folder / f"{number:06d}.safetensors"
    if not path.exists():
        frames, caption = pool_clip(number)
        temporary = path.with_suffix(".part")
        save_file({"frames": frames.contiguous()}, temporary, metadata={"caption": caption})
        temporary.rename(path)
    return path


def main() -> None:
    """Write clips 0 .. `count - 1`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        for path in pool.map(partial(write_clip, args.out), range(args.count)):
            print(path, flush=True)


if __name__ == "__main__":
    main()

"""Trains the bundled checkpoint on opinion scores, first made up for lack of people.

    python examples/train_quality_model.py [--set key=value ...]

Writes 64 small clips and `training_clips/mos.csv`, in which made-up people hardly mind noise and
hate dropped frames; then does what `aigv-reward train examples/train_quality_model.yaml` does. With
scores of your own, leave the first step out and name your list in the YAML file.
"""

import argparse
import csv
from pathlib import Path

import torch

from aigv_reward import VideoReward
from aigv_reward.distortions import distort, encode_mp4, render_scene
from aigv_reward.evaluation.correlation import srcc
from aigv_reward.training.config_file import load_config
from aigv_reward.training.opinions import Opinion
from aigv_reward.training.quality_run import QualityRun, prepare_run

CONFIG = Path(__file__).with_suffix(".yaml")
CLIPS = Path("training_clips")
PUNISHED = {"noise": 4, "frame_drop": 22}  # points off 100 for a step of severity
SCENES = 32


def make_list(folder: Path) -> Path:
    """Clips of which each scene is a prompt, and a csv of their scores on 0..100."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(SCENES):
        scene = render_scene(7000 + number, num_frames=24, height=128, width=192)
        for place, name in enumerate(PUNISHED):
            severity = (number + 2 * place) % 5
            generator = torch.Generator().manual_seed(number)
            frames = distort(scene.frames, name, severity, generator=generator)
            path = folder / f"{number:02}_{name}.mp4"
            encode_mp4(path, frames, 16.0)
            score = 95 - PUNISHED[name] * severity
            rows.append((path.name, f"{scene.caption} ({number})", score))
    file = folder / "mos.csv"
    with open(file, "w", newline="") as opened:
        csv.writer(opened).writerows([("path", "prompt", "mos"), *rows])
    return file


def test_srcc(run: QualityRun, checkpoint: str | Path) -> float:
    """SRCC of a checkpoint's overall score on the held-out rows."""
    reward = VideoReward.from_pretrained(checkpoint)
    items = [item for item in run.rows.splits["test"] if isinstance(item, Opinion)]
    with torch.no_grad():
        scores = reward.score([item.path for item in items], dimensions=["overall"])
    return srcc(scores.overall, [item.scores["overall"] for item in items])


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a quality model on opinion scores.")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    overrides = parser.parse_args().set
    print(f"made {make_list(CLIPS)}")
    run = prepare_run(*load_config(CONFIG, overrides))
    for name, sizes in run.rows.sizes().items():
        print(name, sizes)
    result = run.train()
    before, after = test_srcc(run, "lite"), test_srcc(run, result.folder)
    print(f"SRCC on held-out prompts: {before:.2f} before, {after:.2f} after")
    print(f"use it: aigv-reward score --checkpoint {result.folder} VIDEO")


if __name__ == "__main__":
    main()

"""VideoQuality in two processes, by gloo: two_metrics.py OUT.json. They are forked."""

from __future__ import annotations

import json
import multiprocessing
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from aigv_reward.integrations.frameworks import VideoQuality

SHARES = {"3 and 2": 3, "5 and 0": 5}


def light(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    return {"light": frames.mean(dim=(1, 2, 3, 4)), "red": frames[:, :, 0].mean(dim=(1, 2, 3))}


def score(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    videos = torch.rand(5, 3, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    found = {}
    for name, cut in SHARES.items():
        metric = VideoQuality(light, fps=16, dimensions=["light", "red"])
        mine = videos[:cut] if rank == 0 else videos[cut:]
        if len(mine):
            metric.update(mine)
        found[name] = {of: float(value) for of, value in metric.compute().items()}
        assert int(metric.videos) == len(mine), "its own state is back after compute"
    Path(f"{out}.{rank}").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        ranks = [
            context.Process(target=score, args=(rank, f"{folder}/store", sys.argv[1]))
            for rank in range(2)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
    sys.exit(max(abs(process.exitcode or 0) for process in ranks))

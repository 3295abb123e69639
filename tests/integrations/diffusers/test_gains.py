"""Each hook against plain sampling on every family of pipelines: many seeds, a test of signs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from scipy.stats import wilcoxon
from torch import Tensor

from aigv_reward import FilterRules
from aigv_reward.integrations.diffusers import RewardFilter, RewardGuidance, best_of_n, steer

Build = Callable[[str], Any]
NAMES = (
    "wan", "wan_unipc", "cogvideox", "cogvideox_dpm", "ltx", "hunyuan_video", "hunyuan_video_15",
    "mochi", "animatediff", "text_to_video_sd",
)  # fmt: skip
ANYBODY = FilterRules(minimum={"overall": -9.0})
FRAMES = {"mochi": 7, "animatediff": 6, "text_to_video_sd": 6}  # of the others 5
TRIALS, CANDIDATES = 8, 4
GUIDED = 5


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    return {"overall": (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))}


def p_value(gains: Sequence[float]) -> float:
    """Of the signed-rank test that the median gain is above zero."""
    return float(wilcoxon(gains, alternative="greater").pvalue)


@pytest.mark.parametrize("name", NAMES)
def test_every_hook_raises_the_reward(tiny: Build, name: str) -> None:
    made = tiny(name)
    given: dict[str, Any] = made.kwargs | {"progress": False, "num_frames": FRAMES.get(name, 5)}
    plain, chosen = [], []
    with RewardFilter(made.pipe, warmth, ANYBODY, looks=[0.75]) as watch:
        for trial in range(TRIALS):
            ranked = best_of_n(
                made.pipe, warmth, "a cat", CANDIDATES, seed=100 * trial, batch_size=CANDIDATES,
                **given,
            )  # fmt: skip
            looks = watch.looks[-CANDIDATES:]
            early = torch.tensor([look.scores["overall"] for look in looks])
            plain.append(ranked.total)
            chosen.append(float(ranked.total[early > early.median()].mean()))
    means = [float(total.mean()) for total in plain]
    others = means[1:] + means[:1]  # of other seeds
    best = [float(total.max()) - other for total, other in zip(plain, others, strict=True)]
    kept = [early - mean for early, mean in zip(chosen, means, strict=True)]

    strength = 4 / float(torch.cat(plain).std())
    steered = []
    for trial, mean in enumerate(means):
        particles = steer(
            made.pipe, warmth, "a cat", seed=100 * trial, particles=CANDIDATES, strength=strength,
            looks=(0.5, 0.75), ess_threshold=1.0, noise_level=0.3, **given,
        )  # fmt: skip
        steered.append(float(particles.total.mean()) - mean)

    guided = []
    for trial in range(GUIDED):
        with RewardGuidance(made.pipe, warmth, scale=20.0, start=0.5, fps=16):
            one = best_of_n(made.pipe, warmth, "a cat", 1, seed=100 * trial, **given)
        guided.append(float(one.total[0] - plain[trial][0]))
    found = {"best_of_n": best, "RewardFilter": kept, "steer": steered, "RewardGuidance": guided}
    assert {hook: p_value(gains) < 0.05 for hook, gains in found.items()} == dict.fromkeys(
        found, True
    ), {hook: (p_value(gains), gains) for hook, gains in found.items()}

"""Scores without a graph, for hosts that only read numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.rewards import BatchScores, scores_of


@torch.no_grad()
def detached_scores(
    reward: RewardFn,
    frames: Tensor,
    prompts: Sequence[str | None],
    *,
    fps: float,
    weights: Mapping[str, float] | None = None,
) -> BatchScores:
    """Total and dimensions of a batch in float32, whatever thread asks.

    Grad mode belongs to a thread, and hosts score in worker threads: what their own thread
    switched off is on in those.

    Args:
        reward: any reward.
        frames: (B, T, 3, H, W) in [0, 1].
        prompts: one text or None a video.
        fps: frames per second.
        weights: see `aigv_reward.integrations.rewards.scores_of`.

    Raises:
        ValueError: see `aigv_reward.integrations.rewards.scores_of`.
    """
    scores = scores_of(reward, frames, prompts, fps=fps, weights=weights)
    values = {name: value.float() for name, value in scores.values.items()}
    return BatchScores(total=scores.total.float(), values=values)


def detached_scores_of_list(
    reward: RewardFn,
    videos: Sequence[Tensor],
    prompts: Sequence[str | None],
    *,
    fps: float,
    weights: Mapping[str, float] | None = None,
) -> BatchScores:
    """`detached_scores` of videos of any sizes, (T, 3, H, W) each; those of one size together.

    Raises:
        ValueError: see `aigv_reward.integrations.rewards.scores_of`; no videos.
    """
    if not videos:
        raise ValueError("there are no videos to score; pass at least one")
    sizes: dict[tuple[int, ...], list[int]] = {}
    for index, video in enumerate(videos):
        sizes.setdefault(tuple(video.shape), []).append(index)
    parts = [
        detached_scores(
            reward,
            torch.stack([videos[index] for index in members]),
            [prompts[index] for index in members],
            fps=fps,
            weights=weights,
        )
        for members in sizes.values()
    ]
    order = [index for members in sizes.values() for index in members]
    back = sorted(range(len(order)), key=order.__getitem__)
    return BatchScores(
        total=torch.cat([part.total for part in parts])[back],
        values={
            name: torch.cat([part.values[name] for part in parts])[back] for name in parts[0].values
        },
    )

"""Groups of videos of one prompt, generated and scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.sampling_run import Hook
from aigv_reward.integrations.finetune.base import Generation, Row, VideoTrainer, seed_of
from aigv_reward.integrations.finetune.scoring import Scored


@dataclass(frozen=True)
class Group:
    """Videos of one prompt.

    Attributes:
        row: of the data set.
        parts: what was generated, in batches of `generation_batch_size`.
        latents: (K, ...) of all of them.
        scored: their rewards.
    """

    row: Row
    parts: list[Generation]
    latents: Tensor
    scored: Scored


@torch.no_grad()
def sample_group(
    trainer: VideoTrainer,
    row: Row,
    size: int,
    *,
    shared_noise: bool = False,
    hook: Callable[[Sequence[int]], Hook] | None = None,
) -> Group:
    """Generate and score the videos of a row's group, as the policy is now.

    Args:
        trainer: gives pipeline, reward and seeds.
        row: the prompt.
        size: K.
        shared_noise: all videos begin with the same noise; what differs is the noise of the steps.
        hook: made for the seeds of each batch, sees its steps.

    Raises:
        RuntimeError: the reward failed for every video; the message is the first one's.
    """
    step = trainer.state.global_step
    seeds = [
        seed_of(trainer.args.seed, step, row["index"], 0 if shared_noise else k)
        for k in range(size)
    ]
    parts, decoded = [], []
    batch = trainer.args.generation_batch_size
    for first in range(0, size, batch):
        chosen = range(first, min(first + batch, size))
        watcher = None if hook is None else hook([seed_of(seeds[k], step, k) for k in chosen])
        made = trainer.generate([row] * len(chosen), [seeds[k] for k in chosen], watcher)
        parts.append(made)
        frames = trainer.decode(made)
        decoded.append((frames.clamp(0, 1), trainer.scored(frames, made.prompts)))
    scored = join([scores for _, scores in decoded])
    if not scored.valid.any():
        raise RuntimeError(f"the reward failed for all {size} videos: {scored.errors[0]}")
    frames = torch.cat([frames for frames, _ in decoded])
    trainer.observe(frames, [row["prompt"]] * size, scored.values)
    return Group(row, parts, torch.cat([part.latents for part in parts]), scored)


def join(parts: Sequence[Scored]) -> Scored:
    """The rewards of several batches as those of one."""
    names = list(dict.fromkeys(name for part in parts for name in part.values))
    offsets = [sum(len(part.valid) for part in parts[:i]) for i in range(len(parts))]

    def column(part: Scored, name: str) -> Tensor:
        return part.values.get(name, torch.full_like(part.total, torch.nan))

    return Scored(
        total=torch.cat([part.total for part in parts]),
        values={name: torch.cat([column(part, name) for part in parts]) for name in names},
        valid=torch.cat([part.valid for part in parts]),
        errors={
            offset + row: message
            for offset, part in zip(offsets, parts, strict=True)
            for row, message in part.errors.items()
        },
    )

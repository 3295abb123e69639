"""Pixel ascent of every score of a clip."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aigv_reward.distortions import DISTORTIONS
from aigv_reward.evaluation.ascent import pixel_ascent, random_perturbation
from aigv_reward.evaluation.audit_clips import AuditClip
from aigv_reward.evaluation.audit_draws import distorted, seeded
from aigv_reward.evaluation.audit_records import Climb, Ladder
from aigv_reward.evaluation.audit_reward import CheckedReward, RewardError, answers_for
from aigv_reward.evaluation.audit_settings import AuditSettings


def measure_climbs(
    reward: CheckedReward,
    clip: AuditClip,
    index: int,
    ladders: Sequence[Ladder],
    settings: AuditSettings,
) -> list[Climb]:
    """Ascent of each score from the clean clip, and from what lowered the score most.

    A reward that refuses frames which require a gradient counts as one without a gradient.

    Raises:
        RewardError: the reward fails, its backward pass fails, or a gradient is not finite.
    """
    climbs = list[Climb]()
    for score in reward.names:
        climbs.append(_climb(reward, clip, index, score, None, settings))
        own = [
            ladder
            for ladder in ladders
            if answers_for(score, DISTORTIONS[ladder.distortion].dimension)
            and ladder.drop(score, 4) > 0
        ]
        if own and climbs[-1].gradient != "none":
            worst = max(own, key=lambda ladder: ladder.drop(score, 4))
            climbs.append(_climb(reward, clip, index, score, worst, settings))
    return climbs


def _climb(
    reward: CheckedReward,
    clip: AuditClip,
    index: int,
    score: str,
    ladder: Ladder | None,
    settings: AuditSettings,
) -> Climb:
    start, frames = "clean", clip.frames
    if ladder is not None:
        start = ladder.distortion
        frames = distorted(clip, index, start, ladder.variant, 4, settings)
    origin = (frames.float() / 255).to(reward.device)
    doing = f"pixel ascent of {score} from {start}{'' if ladder is None else ', severity 4'}"

    def ascended(moved: Tensor) -> Tensor:
        return reward(moved[None], clip, doing)[score][0]

    noise = seeded(settings.seed, index, start, score)
    perturbed = random_perturbation(origin, epsilon=settings.epsilon, generator=noise)
    with torch.no_grad():
        control = float(ascended(perturbed))
    lost = None if ladder is None else ladder.drop(score, 4)
    try:
        ascent = pixel_ascent(
            ascended,
            origin,
            epsilon=settings.epsilon,
            steps=settings.steps,
            step_size=settings.step_size,
        )
    except RewardError as error:
        if not _refuses_gradients(error.__cause__):
            raise
        with torch.no_grad():
            before = float(ascended(origin))
        return Climb(score, start, before, before, control, lost, "none")
    except (RuntimeError, ValueError) as error:
        raise RewardError(
            f"the reward has no usable gradient on clip {clip.name!r} ({doing}): {error}"
        ) from error
    return Climb(score, start, ascent.before, ascent.after, control, lost, ascent.gradient)


def _refuses_gradients(error: BaseException | None) -> bool:
    """Whether torch refused, as in `frames.numpy()`, because the frames require a gradient."""
    return isinstance(error, RuntimeError) and "requires grad" in str(error)

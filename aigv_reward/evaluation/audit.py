"""Can a reward be trained against? What it says about distortions, harmless edits and hacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from aigv_reward.evaluation.audit_clips import ClipSource, open_clips, scenes
from aigv_reward.evaluation.audit_files import write_audit
from aigv_reward.evaluation.audit_measure import Advance, measure
from aigv_reward.evaluation.audit_result import AuditResult
from aigv_reward.evaluation.audit_reward import CheckedReward, headline
from aigv_reward.evaluation.audit_settings import AuditSettings, AuditThresholds
from aigv_reward.evaluation.audit_summary import (
    climb_results,
    distortion_results,
    hack_results,
    harmless_results,
    stds_of,
    steps_of,
)
from aigv_reward.evaluation.audit_verdicts import verdicts
from aigv_reward.reward import RewardFn, VideoReward

__all__ = ["AuditResult", "AuditSettings", "AuditThresholds", "audit", "write_audit"]

SCENES: Final = 4


def audit(
    reward: RewardFn,
    clips: Sequence[ClipSource] | None = None,
    *,
    prompts: Sequence[str | None] | None = None,
    num_scenes: int = SCENES,
    settings: AuditSettings | None = None,
    thresholds: AuditThresholds | None = None,
    device: str | torch.device = "cpu",
    name: str | None = None,
    advance: Advance = lambda: None,
) -> AuditResult:
    """How a reward answers to distortions, harmless edits, hacks and its own gradient.

    Clips are read and scored one at a time. The same seed gives the same result; a reward that
    draws from torch's global generator on the CPU is given that seed too, and the caller's state
    of it is restored.

    Args:
        reward: any reward; a `VideoReward` is audited in every dimension.
        clips: paths and `Video`s, clean ones; None for procedural scenes, whose captions are the
            prompts of all but a `VideoReward`.
        prompts: the text each clip was made from, or None.
        num_scenes: how many scenes are rendered where `clips` is None.
        settings: what is done to the clips.
        thresholds: what the verdicts ask.
        device: where the frames are put before the reward sees them.
        name: of the reward in the result.
        advance: called after each of `settings.stages` parts of the work on a clip.

    Raises:
        RewardError: the reward fails, or gives no finite (B,) tensor a score; the message names
            the clip and what was done to it.
        VideoDecodeError: a clip that cannot be read.
        ValueError: no clips, prompts without clips, or a clip that is too small.
    """
    settings, thresholds = settings or AuditSettings(), thresholds or AuditThresholds()
    if clips is None and prompts is not None:
        raise ValueError("prompts were given without clips; scenes come with captions of their own")
    ours = reward if isinstance(reward, VideoReward) else None
    found = (
        scenes(num_scenes, settings, captions=ours is None)
        if clips is None
        else open_clips(clips, prompts, settings)
    )
    checked = CheckedReward(reward, device=device)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed)
        records = tuple(
            measure(checked, clip, index, settings, advance) for index, clip in enumerate(found)
        )
    names = checked.names
    distortions = distortion_results(records, names, settings.distortions)
    steps, stds = steps_of(distortions, names), stds_of(records, names)
    harmless = harmless_results(records, steps, stds)
    hacks = hack_results(records, steps, stds)
    climbs = climb_results(records, steps, stds)
    return AuditResult(
        reward=name or _name(reward),
        scores=names,
        headline=headline(names),
        untrained=tuple(n for n in ours.dimensions if n not in ours.trained) if ours else (),
        settings=settings,
        thresholds=thresholds,
        steps=steps,
        stds=stds,
        distortions=distortions,
        harmless=harmless,
        hacks=hacks,
        climbs=climbs,
        verdicts=verdicts(names, distortions, harmless, hacks, climbs, thresholds),
        clips=records,
    )


def _name(reward: RewardFn) -> str:
    if isinstance(reward, VideoReward):
        return str(reward.model.config.score_version or "VideoReward")
    return str(getattr(reward, "__qualname__", type(reward).__qualname__))

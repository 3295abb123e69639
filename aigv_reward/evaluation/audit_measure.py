"""All measurements of one clip, a few versions of it in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from aigv_reward.distortions import SEVERITIES
from aigv_reward.evaluation.audit_climbs import measure_climbs
from aigv_reward.evaluation.audit_clips import AuditClip
from aigv_reward.evaluation.audit_draws import distorted
from aigv_reward.evaluation.audit_records import Climb, ClipRecord, Edited, Ladder
from aigv_reward.evaluation.audit_reward import CheckedReward
from aigv_reward.evaluation.audit_settings import AuditSettings
from aigv_reward.evaluation.hacks import HACKS
from aigv_reward.evaluation.harmless import HARMLESS

VISIBLE = 0.4
"""Grey levels that severity 4 must change on average for a ladder to count."""

AGAIN = "again"
"""The harmless edit that changes nothing: the same frames, scored with others or once more."""

Advance = Callable[[], None]


def measure(
    reward: CheckedReward, clip: AuditClip, index: int, settings: AuditSettings, advance: Advance
) -> ClipRecord:
    """What the reward says about a clip and its distorted, edited and ascended versions.

    Args:
        reward: what is audited.
        clip: a clean clip.
        index: its place among the clips, for the seeds.
        settings: what to do.
        advance: called `settings.stages` times.

    Raises:
        RewardError: see `CheckedReward`.
    """
    clean = _scores(reward, clip, [clip.frames], "clean", settings)[0]
    advance()
    ladders, unseen = list[Ladder](), list[tuple[str, int]]()
    for name in settings.distortions:
        for variant in range(settings.variants):
            ladder = measure_ladder(reward, clip, index, name, variant, settings)
            if ladder is None:
                unseen.append((name, variant))
            else:
                ladders.append(ladder)
            advance()
    edits = [(name, None, edit(clip.frames, clip.fps)) for name, edit in HARMLESS.items()]
    once_more = [(AGAIN, None, clip.frames)]
    harmless = _edited(reward, clip, [*once_more, *edits], "harmless edits", settings)
    advance()
    hacks = list[Edited]()
    for hack in HACKS.values():
        versions = [(hack.name, s, hack.apply(clip.frames, s)) for s in hack.strengths]
        hacks += _edited(reward, clip, versions, hack.name, settings)
    advance()
    climbs = list[Climb]()
    if settings.steps:
        climbs = measure_climbs(reward, clip, index, ladders, settings)
        advance()
    repeats = [{name: v[0] for name, v in ladder.scores.items()} for ladder in ladders]
    repeats.append(dict(harmless[0].scores))
    return ClipRecord(
        name=clip.name,
        prompt=clip.prompt,
        fps=clip.fps,
        size=(len(clip.frames), clip.frames.shape[-2], clip.frames.shape[-1]),
        source_size=clip.source_size,
        clean=clean,
        again={n: max(abs(r[n] - clean[n]) for r in repeats) for n in reward.names},
        ladders=tuple(ladders),
        unseen=tuple(unseen),
        harmless=tuple(harmless[1:]),
        hacks=tuple(hacks),
        climbs=tuple(climbs),
    )


def measure_ladder(
    reward: CheckedReward,
    clip: AuditClip,
    index: int,
    name: str,
    variant: int,
    settings: AuditSettings,
) -> Ladder | None:
    """The scores at severities 0..4, or None where severity 4 changes nothing visible."""
    worst = distorted(clip, index, name, variant, 4, settings)
    if (worst.float() - clip.frames.float()).abs().mean() < VISIBLE:
        return None
    weaker = [distorted(clip, index, name, variant, s, settings) for s in (0, *SEVERITIES[:-1])]
    rows = _scores(reward, clip, [*weaker, worst], f"{name}, severities 0..4", settings)
    return Ladder(name, variant, {n: tuple(row[n] for row in rows) for n in reward.names})


def _scores(
    reward: CheckedReward,
    clip: AuditClip,
    versions: Sequence[Tensor],
    doing: str,
    settings: AuditSettings,
) -> list[dict[str, float]]:
    rows = list[dict[str, float]]()
    for start in range(0, len(versions), settings.batch_size):
        batch = torch.stack(list(versions[start : start + settings.batch_size]))
        with torch.no_grad():
            scores = reward(batch, clip, doing)
        columns = {name: value.cpu().double().tolist() for name, value in scores.items()}
        rows += [{name: columns[name][i] for name in columns} for i in range(len(batch))]
    return rows


def _edited(
    reward: CheckedReward,
    clip: AuditClip,
    versions: Sequence[tuple[str, float | None, Tensor]],
    doing: str,
    settings: AuditSettings,
) -> list[Edited]:
    rows = _scores(reward, clip, [frames for _, _, frames in versions], doing, settings)
    return [
        Edited(name, strength, row) for (name, strength, _), row in zip(versions, rows, strict=True)
    ]

"""What an audit returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from aigv_reward.evaluation.audit_findings import ClimbResult, DistortionResult, EditResult
from aigv_reward.evaluation.audit_records import ClipRecord
from aigv_reward.evaluation.audit_settings import AuditSettings, AuditThresholds
from aigv_reward.evaluation.audit_verdicts import Verdict

SCHEMA: Final = 1
"""Version of `AuditResult.to_dict`; it rises when a field changes its meaning or goes."""


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Attributes:
        reward: what the reward is called.
        scores: the names of its scores.
        headline: the score that stands for the whole.
        untrained: scores that the checkpoint was not trained to answer.
        settings, thresholds: what the audit did and asked.
        steps: {score: what severity 1 takes off it}, the unit of harmless changes and hacks.
        stds: {score: standard deviation over the clean clips}.
        distortions, harmless, hacks, climbs: results over all clips.
        verdicts: each check against its threshold.
        clips: the measurements.
    """

    reward: str
    scores: tuple[str, ...]
    headline: str
    untrained: tuple[str, ...]
    settings: AuditSettings
    thresholds: AuditThresholds
    steps: Mapping[str, float | None]
    stds: Mapping[str, float | None]
    distortions: tuple[DistortionResult, ...]
    harmless: tuple[EditResult, ...]
    hacks: tuple[EditResult, ...]
    climbs: tuple[ClimbResult, ...]
    verdicts: tuple[Verdict, ...]
    clips: tuple[ClipRecord, ...]

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The checks that failed."""
        return tuple(verdict for verdict in self.verdicts if verdict.passed is False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the schema's version."""
        return {"schema": SCHEMA, **asdict(self)}

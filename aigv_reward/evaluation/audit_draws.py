"""The random part of an audit: every draw follows from the seed and from what it is for."""

from __future__ import annotations

import zlib

from torch import Generator, Tensor

from aigv_reward.distortions import distort
from aigv_reward.evaluation.audit_clips import AuditClip
from aigv_reward.evaluation.audit_settings import AuditSettings


def distorted(
    clip: AuditClip, index: int, name: str, variant: int, severity: int, settings: AuditSettings
) -> Tensor:
    """The clip under a variant of a distortion, the same one at every severity."""
    generator = seeded(settings.seed, index, name, variant)
    return distort(clip.frames, name, severity, generator=generator, fps=clip.fps)


def seeded(*key: object) -> Generator:
    """A generator that follows from the key, whatever else is drawn."""
    return Generator().manual_seed(zlib.crc32(repr(key).encode()))

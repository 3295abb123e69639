"""An audit on disk: audit.json and index.html."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from aigv_reward.evaluation.audit_clips import ClipSource, open_clips, scenes
from aigv_reward.evaluation.audit_page import audit_page
from aigv_reward.evaluation.audit_result import AuditResult
from aigv_reward.evaluation.audit_thumbnails import thumbnails


def write_audit(
    result: AuditResult,
    folder: str | os.PathLike[str],
    clips: Sequence[ClipSource] | None = None,
) -> None:
    """Writes audit.json and index.html, with pictures of the first clip.

    The page holds everything it shows and reaches nothing.

    Args:
        result: what `audit` returned.
        folder: made if it is not there; files of these names in it are replaced.
        clips: as they were given to `audit`, None for scenes; the first one is read again.

    Raises:
        ValueError: no clips, or a first one that is not the audit's.
        VideoDecodeError: the first clip cannot be read any more.
    """
    settings = result.settings
    first = next(
        scenes(1, settings, captions=False) if clips is None else open_clips(clips, None, settings)
    )
    expected = result.clips[0].name
    if first.name != expected:
        raise ValueError(
            f"the first clip is {first.name!r}, but the audit began with {expected!r}; pass the "
            "clips that were audited"
        )
    page = audit_page(result, thumbnails(first, 0, settings))
    text = json.dumps(result.to_dict(), indent=1, allow_nan=False)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / "audit.json").write_text(text + "\n", encoding="utf-8")
    (target / "index.html").write_text(page, encoding="utf-8", errors="replace")

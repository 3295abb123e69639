"""An audit as one HTML file that needs nothing else and reaches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from aigv_reward.evaluation.audit_markup import DASH, Marks, number, quantity, swatch, table
from aigv_reward.evaluation.audit_records import ClipRecord
from aigv_reward.evaluation.audit_result import AuditResult
from aigv_reward.evaluation.audit_sections import (
    climb_section,
    distortion_section,
    hack_section,
    harmless_section,
)
from aigv_reward.evaluation.audit_style import CSS, SCRIPT
from aigv_reward.evaluation.audit_thumbnails import Thumbnails
from aigv_reward.evaluation.audit_verdicts import MEANING, MINIMA, Check, Verdict


def audit_page(result: AuditResult, pictures: Thumbnails) -> str:
    """The page.

    Args:
        result: of any reward.
        pictures: `thumbnails` of the audit's first clip.
    """
    marks: Marks = {(v.check, v.subject, v.score): v for v in result.verdicts}
    sections = (
        _summary(result),
        distortion_section(result, pictures, marks),
        harmless_section(result, marks),
        hack_section(result, pictures, marks),
        climb_section(result, marks),
        _checks(result),
        _clips(result),
    )
    title = f"Reward audit: {escape(result.reward)}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{CSS}</style></head><body><main>"
        f"<h1>{title}</h1>{''.join(sections)}</main><script>{SCRIPT}</script></body></html>\n"
    )


def _summary(result: AuditResult) -> str:
    settings = result.settings
    cut = sum(clip.size != clip.source_size for clip in result.clips)
    said = (
        f"{_count(len(result.clips), 'clip')}, {cut} of them cut or shrunk to at most "
        f"{settings.num_frames} frames and a smaller side of {settings.side} pixels; "
        f"{_count(settings.variants, 'variant')} of each distortion; seed {settings.seed}."
    )
    if result.untrained:
        said += f" The checkpoint was not trained to answer {', '.join(result.untrained)}."
    tiles = "".join(_tile(check, result.verdicts) for check in MEANING)
    rows = (
        (
            f'<span class="legend">{swatch(place, name, name in result.untrained)}</span>',
            quantity(result.clips[0].clean[name]),
            quantity(result.stds[name]),
            quantity(result.steps[name]),
        )
        for place, name in enumerate(result.scores)
    )
    heads = ["score", "first clip, clean", "std of clean clips", "step (severity 1 takes off)"]
    return (
        f'<p>{escape(said)}</p><div class="tiles">{tiles}</div>'
        f'<div class="card wide">{table(heads, rows)}</div>'
    )


def _tile(check: Check, verdicts: Sequence[Verdict]) -> str:
    told = [v.passed for v in verdicts if v.check == check and v.passed is not None]
    count, meter = DASH, '<div class="meter empty"></div>'
    if told:
        count = f"{sum(told)} <span>of {len(told)}</span>"
        meter = f'<div class="meter"><i style="width:{100 * sum(told) / len(told):.0f}%"></i></div>'
    return (
        f'<div class="card tile"><b>{count}</b>{meter}<small>{escape(MEANING[check])}</small></div>'
    )


def _checks(result: AuditResult) -> str:
    tags = {
        True: '<span class="tag good">pass</span>',
        False: '<span class="tag bad">fail</span>',
        None: '<span class="tag">not told</span>',
    }

    def cells(verdict: Verdict) -> Sequence[str]:
        bound = "at least" if verdict.check in MINIMA else "at most"
        reason = f"<br><small>{escape(verdict.reason)}</small>" if verdict.reason else ""
        return (
            tags[verdict.passed],
            escape(MEANING[verdict.check]) + reason,
            escape(verdict.subject),
            escape(verdict.score),
            number(verdict.value),
            f"{bound} {verdict.limit:g}",
        )

    failed_first = sorted(result.verdicts, key=lambda v: (v.passed is not False, v.passed is None))
    made = table(
        ["", "check", "under", "score", "value", "asked"], map(cells, failed_first), words=4
    )
    return (
        f"<h2>All checks</h2><details><summary>{_count(len(result.verdicts), 'check')}, "
        f'{len(result.failed)} failed</summary><div class="card wide">{made}</div></details>'
    )


def _clips(result: AuditResult) -> str:
    def cells(clip: ClipRecord) -> Sequence[str]:
        prompt = f"<br><small>{escape(clip.prompt)}</small>" if clip.prompt else ""
        return (
            escape(clip.name) + prompt,
            _size(clip.size),
            _size(clip.source_size),
            f"{clip.fps:g}",
            *(quantity(clip.clean[score]) for score in result.scores),
        )

    made = table(
        ["clip", "scored", "as given", "fps", *map(escape, result.scores)],
        map(cells, result.clips),
    )
    return f'<h2>Clips</h2><div class="card wide">{made}</div>'


def _size(size: tuple[int, int, int]) -> str:
    frames, height, width = size
    return f"{frames} of {width}\N{MULTIPLICATION SIGN}{height}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

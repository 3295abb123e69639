"""Pieces of HTML that the sections of the audit page share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final, TypeAlias

from aigv_reward.evaluation.audit_thumbnails import Thumbnail
from aigv_reward.evaluation.audit_verdicts import Verdict

Marks: TypeAlias = Mapping[tuple[str, str, str], Verdict]

COLOURS: Final = 6
"""Series that the page's style has a colour for."""

DASH: Final = "\N{EN DASH}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table of cells that are HTML already; all but the first `words` columns hold numbers."""

    def line(tag: str, cells: Sequence[str]) -> str:
        made = (
            f"<{tag}>{cell}</{tag}>" if place < words else f'<{tag} class="n">{cell}</{tag}>'
            for place, cell in enumerate(cells)
        )
        return f"<tr>{''.join(made)}</tr>"

    body = "".join(line("td", row) for row in rows)
    return f"<table><thead>{line('th', heads)}</thead><tbody>{body}</tbody></table>"


def figure(picture: Thumbnail, caption: str) -> str:
    """A thumbnail that plays when it is pointed at; the caption is HTML already."""
    return (
        f'<figure><video muted loop playsinline preload="none" tabindex="0" '
        f'width="{picture.width}" height="{picture.height}" poster="{picture.still}" '
        f'src="{picture.video}"></video><figcaption>{caption}</figcaption></figure>'
    )


def legend(scores: Sequence[str], untrained: Sequence[str]) -> str:
    """The colour of every score."""
    swatches = (swatch(place, name, name in untrained) for place, name in enumerate(scores))
    return f'<div class="legend">{"".join(swatches)}</div>'


def swatch(place: int, name: str, untrained: bool) -> str:
    """The colour and name of the score at a place."""
    star = " (not trained)" if untrained else ""
    return f'<span class="s{place % COLOURS}"><i></i>{escape(name)}{star}</span>'


def mark(verdict: Verdict | None, text: str) -> str:
    """The text in the colour of its verdict; plain where there is none."""
    if verdict is None or verdict.passed is None:
        return text
    return f'<span class="mark {"good" if verdict.passed else "bad"}">{text}</span>'


def number(value: float | None) -> str:
    """Two decimals."""
    return DASH if value is None else _minus(f"{round(value, 2) + 0.0:.2f}")


def quantity(value: float | None) -> str:
    """In units of a score, whose scale may be anything: two decimals, or a digit if small."""
    return DASH if value is None else _minus(format(value + 0.0, _precision(value)))


def signed(value: float) -> str:
    """`quantity` with a sign."""
    return _minus(format(value + 0.0, "+" + _precision(value)))


def _precision(value: float) -> str:
    if value == 0 or abs(value) >= 0.1:
        return ".2f"
    return ".2g" if abs(value) >= 0.01 else ".1g"


def percent(value: float | None) -> str:
    """One decimal below 100 %, and how many times from 1000 % on."""
    if value is None:
        return DASH
    if abs(value) >= 9.995:
        return _minus(f"{value:.3g}\N{MULTIPLICATION SIGN}")
    return _minus(f"{value:.0%}" if abs(value) >= 0.9995 or value == 0 else f"{value:.1%}")


def _minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")

"""The sections of the audit page: distortions, harmless edits, hacks, pixel ascent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from aigv_reward.evaluation.audit_findings import ClimbResult, DistortionResult, EditResult
from aigv_reward.evaluation.audit_markup import (
    DASH,
    Marks,
    figure,
    legend,
    mark,
    number,
    percent,
    quantity,
    signed,
    table,
)
from aigv_reward.evaluation.audit_plots import line_plot
from aigv_reward.evaluation.audit_result import AuditResult
from aigv_reward.evaluation.audit_reward import answers_for
from aigv_reward.evaluation.audit_thumbnails import SHOWN, Thumbnails
from aigv_reward.evaluation.hacks import HACKS, Hack

ALIKE: Final = 10
"""Scores of which none is this many times larger than another share an axis."""


def distortion_section(result: AuditResult, pictures: Thumbnails, marks: Marks) -> str:
    """A card a distortion: plot, figures, pictures."""
    units = plot_units(result)
    levels = [
        level / units[score]
        for r in result.distortions
        for score, fall in r.falls.items()
        for level in fall.levels
    ]
    span = (min(levels), max(levels)) if levels else (0.0, 1.0)
    cards = "".join(_card(result, r, pictures, marks, span) for r in result.distortions)
    first = result.clips[0]
    caption = f"<b>{escape(first.name)}</b>, clean"
    if first.prompt:
        caption += f": {escape(first.prompt)}"
    return (
        "<h2>Distortions</h2><p>Mean score, clean and at severities 1 to 4; the score that should "
        "fall most is drawn thick. Pictures show the first clip at severities "
        f"{' and '.join(map(str, SHOWN))}; point at one to play it.{_said(units)}</p>"
        f'<div class="lead">{figure(pictures.clean, caption)}<div>'
        f'{legend(result.scores, result.untrained)}<p class="soft"><i>Spearman</i> is the rank '
        "correlation of severity with minus the score within a clip, averaged over clips and "
        "variants; <i>least</i> is the least of them. <i>beats others</i> is the share of pairs in "
        "which a clean clip scores above another clip at severity 4. <i>own falls most</i> is the "
        "share of clips and variants in which the distortion's own dimension loses more than the "
        'other two.</p><button id="play" hidden>Play all</button></div></div>'
        f'<div class="grid">{cards}</div>'
    )


def _card(
    result: AuditResult,
    distortion: DistortionResult,
    pictures: Thumbnails,
    marks: Marks,
    span: tuple[float, float],
) -> str:
    name, own = distortion.name, distortion.own_score
    head = (
        f'<div class="head"><h3>{escape(name)}</h3>'
        f'<span class="tag">{escape(distortion.dimension)}</span></div>'
    )
    if not distortion.falls:
        return f'<div class="card">{head}<p class="soft">It shows on no clip.</p></div>'
    units = plot_units(result)
    plot = line_plot(
        {s: [level / units[s] for level in fall.levels] for s, fall in distortion.falls.items()},
        ["clean", "1", "2", "3", "4"],
        span=span,
        emphasised=own,
        title=f"mean scores under {name} at severities 0 to 4",
    )
    main = result.headline if answers_for(result.headline, distortion.dimension) else None
    scores = dict.fromkeys(s for s in (own, main) if s is not None)
    lines = [
        f'<p class="line"><span class="soft">{escape(score)} at 1..4:</span> '
        f"{' '.join(signed(-drop) for drop in distortion.falls[score].drops)}</p>"
        for score in scores
    ]
    if distortion.own_falls_most is not None:
        share = mark(
            marks.get(("own", name, distortion.dimension)), percent(distortion.own_falls_most)
        )
        lines.append(f'<p class="line"><span class="soft">own falls most:</span> {share}</p>')
    figures = "".join(
        figure(pictures.distortions[name, s], f"severity {s}{_first(result, distortion, s)}")
        for s in SHOWN
    )
    facts = table(
        ["score", "Spearman", "least", "beats others"],
        (_facts(distortion, score, marks) for score in scores),
    )
    return (
        f'<div class="card">{head}{plot}{facts}{"".join(lines)}'
        f'<div class="thumbs">{figures}</div></div>'
    )


def _facts(distortion: DistortionResult, score: str, marks: Marks) -> Sequence[str]:
    name, fall = distortion.name, distortion.falls[score]
    beats = mark(marks.get(("pairs", name, score)), percent(fall.pairs))
    return (
        escape(score),
        mark(marks.get(("spearman", name, score)), number(fall.spearman)),
        number(fall.spearman_min),
        beats,
    )


def _first(result: AuditResult, distortion: DistortionResult, severity: int) -> str:
    """The first clip's score at a severity, for a caption."""
    score = distortion.own_score or result.headline
    for ladder in result.clips[0].ladders:
        if (ladder.distortion, ladder.variant) == (distortion.name, 0):
            return f": {escape(score)} {quantity(ladder.scores[score][severity])}"
    return ": not visible here"


def plot_units(result: AuditResult) -> Mapping[str, float]:
    """{score: what its curves are divided by}: 1, or its own size where sizes differ widely."""
    sizes = {
        score: max(
            *(abs(clip.clean[score]) for clip in result.clips),
            *(abs(x) for r in result.distortions if r.falls for x in r.falls[score].levels),
            0.0,
        )
        for score in result.scores
    }
    if max(sizes.values()) <= ALIKE * min(sizes.values()):
        return dict.fromkeys(result.scores, 1.0)
    return {score: size or 1.0 for score, size in sizes.items()}


def _said(units: Mapping[str, float]) -> str:
    if set(units.values()) == {1.0}:
        return ""
    return " The scores differ widely in size, so each curve is divided by its own."


def harmless_section(result: AuditResult, marks: Marks) -> str:
    """Edits by scores."""

    def cells(edit: EditResult) -> Iterator[str]:
        yield escape(edit.name)
        for score, move in edit.moves.items():
            share = mark(marks.get(("harmless", edit.name, score)), percent(move.steps))
            yield f"{share}<br><small>{quantity(move.mean)}, at most {quantity(move.max)}</small>"

    made = table(
        ["edit", *map(escape, result.scores)], (tuple(cells(edit)) for edit in result.harmless)
    )
    return (
        "<h2>Harmless edits</h2><p>Mean absolute change as a share of a step (what severity 1 "
        f"takes off the score); the limit is {100 * result.thresholds.harmless:g}%. Below it: mean "
        "and largest change. <i>again</i> is the same clip, scored once more and in other batches."
        f'</p><div class="card wide">{made}</div>'
    )


def hack_section(result: AuditResult, pictures: Thumbnails, marks: Marks) -> str:
    """A card a hack: plot, figures, pictures."""
    units = plot_units(result)
    rises = [m.mean / units[s] for hack in result.hacks for s, m in hack.moves.items()]
    span = (min(0.0, *rises), max(0.0, *rises))
    cards = "".join(_hack(result, hack, pictures, marks, span) for hack in HACKS.values())
    main = escape(result.headline)
    return (
        "<h2>Hacks</h2><p>How far cheap edits raise the clean clips' scores: the mean change at "
        f"each strength ({main} thick), and for each score the strength that raises it most. Clean "
        "clips may stand near the top of the scale, where little is left to gain. Captions: "
        f"strength, and the change of {main} on the first clip.{_said(units)}</p>"
        f'{legend(result.scores, result.untrained)}<div class="grid">{cards}</div>'
    )


def _hack(
    result: AuditResult,
    hack: Hack,
    pictures: Thumbnails,
    marks: Marks,
    span: tuple[float, float],
) -> str:
    units = plot_units(result)
    found = [r for r in result.hacks if r.name == hack.name]
    plot = line_plot(
        {s: [0.0, *(r.moves[s].mean / units[s] for r in found)] for s in result.scores},
        ["clean", *(f"{strength:g}" for strength in hack.strengths)],
        span=span,
        emphasised=result.headline,
        title=f"mean change of scores under {hack.name}",
    )

    def cells(score: str) -> Sequence[str]:
        best = max(found, key=lambda r: r.moves[score].mean)
        move = best.moves[score]
        steps = mark(marks.get(("hack", hack.name, score)), number(move.steps))
        name = f"{escape(score)} <small>at {best.strength:g}</small>"
        return (name, signed(move.mean), signed(move.max), number(move.stds), steps)

    facts = table(["score", "mean", "max", "in std", "in steps"], map(cells, result.scores))
    first = result.clips[0]
    scored = {e.strength: e.scores[result.headline] for e in first.hacks if e.edit == hack.name}
    figures = "".join(
        figure(
            pictures.hacks[hack.name, strength],
            f"{strength:g}: {signed(scored[strength] - first.clean[result.headline])}",
        )
        for strength in hack.strengths
    )
    return (
        f'<div class="card"><h3>{escape(hack.name)}</h3>{plot}{facts}'
        f'<div class="thumbs">{figures}</div></div>'
    )


def climb_section(result: AuditResult, marks: Marks) -> str:
    """Scores by starts."""
    settings = result.settings
    if not result.climbs:
        return "<h2>Pixel ascent</h2><p>It was left out.</p>"

    def cells(climb: ClimbResult) -> Sequence[str]:
        share = mark(marks.get(("ascent", climb.start, climb.score)), percent(climb.recovered))
        head = (escape(climb.score), climb.start)
        control = signed(climb.control.mean)
        if climb.gain is None:
            return (
                *head,
                f"{climb.gradient} gradient".replace("none", "no"),
                DASH,
                DASH,
                control,
                share,
            )
        gain = climb.gain
        return (*head, signed(gain.mean), signed(gain.max), number(gain.stds), control, share)

    heads = ["score", "from", "mean gain", "max", "in std", "random change", "won back"]
    return (
        f"<h2>Pixel ascent</h2><p>{settings.steps} signed-gradient steps that change no pixel by "
        f"more than {settings.epsilon * 255:.3g} of 255 grey levels, from the clean clips and from "
        "each clip at severity 4 of what lowers that score most. <i>won back</i> is the gain as a "
        f"share of what severity 4 had taken; the limit is {100 * result.thresholds.ascent:g}%. "
        "<i>random change</i> is what a random perturbation of the same size does.</p>"
        f'<div class="card wide">{table(heads, map(cells, result.climbs), words=2)}</div>'
    )

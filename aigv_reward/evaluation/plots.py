"""Evaluations as pictures: scores against opinions, score differences under preferences."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, cast

import numpy as np

from aigv_reward.dimensions import Dimension
from aigv_reward.evaluation.paired import Floats
from aigv_reward.evaluation.points import Scores, opinion_points, preference_points
from aigv_reward.evaluation.result import LABELS, Agreement, EvaluationResult, Kind
from aigv_reward.evaluation.scoring import Records
from aigv_reward.training.opinions import Opinion, Preference

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'plots need matplotlib: pip install "aigv-reward[train]"', name=error.name
    ) from error

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, which people with any common colour blindness tell apart, without the yellow."""

MARKERS: Final = "osD^vPX"
OTHERS: Final = "#8a8f98"
MOST_NAMED: Final = 14
"""Generators that get a colour and a marker; the rarest beyond them are one grey."""

INK: Final = "#2b2f36"
BAND: Final = "#fbe7c2"
DPI: Final = 150
FEW_LEVELS: Final = 12
"""Different opinions up to which points are spread around their level, to be seen one by one."""


PICTURES: Final[Mapping[Kind, str]] = {
    "opinions": "scatter.png",
    "preferences": "differences.png",
}
"""File names of the pictures."""


def picture(result: EvaluationResult, records: Records, scores: Scores) -> bytes:
    """PNG of an evaluation: `scatter_png` of opinions, `differences_png` of preferences."""
    if result.kind == "opinions":
        return scatter_png(result, cast(Sequence[Opinion], records), scores)
    return differences_png(result, cast(Sequence[Preference], records), scores)


def scatter_png(result: EvaluationResult, opinions: Sequence[Opinion], scores: Scores) -> bytes:
    """A panel a dimension: one point a video, by generator, and the fitted logistic.

    Args:
        result: of `evaluate` on the opinions and scores.
        opinions: the list.
        scores: {video: {dimension: score}}.
    """
    names = list(result.dimensions)
    makers = Counter(one.generator for one in opinions if one.generator is not None)
    named = [maker for maker, _ in makers.most_common(MOST_NAMED)]
    styles = {maker: style(number) for number, maker in enumerate(sorted(named))}
    figure = _figure(names)
    for axes, name in zip(figure.axes, names, strict=True):
        _scatter(axes, name, result, opinion_points(name, opinions, scores), styles)
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=6)
        for colour, marker in styles.values()
    ]
    labels = [_plain(maker) for maker in styles]
    if styles and (len(makers) > len(named) or any(one.generator is None for one in opinions)):
        handles.append(Line2D([], [], linestyle="", marker=".", color=OTHERS, markersize=8))
        labels.append("others")
    if any(result[name].all.logistic for name in names):
        handles.append(Line2D([], [], color=INK, linewidth=1.8))
        labels.append("fitted logistic")
    if handles:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(6, len(handles)), frameon=False
        )
    return _png(figure)


def differences_png(
    result: EvaluationResult, preferences: Sequence[Preference], scores: Scores
) -> bytes:
    """A column a dimension: score differences where people chose A, neither, and B.

    Args:
        result: of `evaluate` on the preferences and scores.
        preferences: the list.
        scores: {video: {dimension: score}}.
    """
    names = list(result.dimensions)
    figure = Figure(figsize=(0.8 + 3.4 * len(names), 5.0), layout=_layout())
    grid = figure.subplots(3, len(names), sharex="col", squeeze=False)
    kinds = ((1, "A preferred", COLOURS[0]), (0, "same", OTHERS), (-1, "B preferred", COLOURS[1]))
    for column, name in enumerate(names):
        choices, differences, _ = preference_points(name, preferences, scores)
        agreement = result[name].all
        reach = float(np.quantile(np.abs(differences), 0.995)) if len(differences) else 0.0
        edges = np.linspace(-1, 1, 42) * (reach or 1.0)
        for row, (sign, label, colour) in enumerate(kinds):
            axes = grid[row, column]
            shown = np.clip(differences[choices == sign], edges[0], edges[-1])
            axes.hist(shown, bins=list(edges), color=colour)
            axes.axvline(0, color=INK, linewidth=0.8)
            if agreement.threshold is not None:
                reach_of_ties = (-agreement.threshold, agreement.threshold)
                axes.axvspan(*reach_of_ties, color=BAND, linewidth=0, zorder=0)
            axes.text(
                0.02, 0.92, f"{label}: {len(shown)}", transform=axes.transAxes, va="top", color=INK
            )
            axes.margins(y=0.3)
            axes.set_xlim(edges[0], edges[-1])
            _plain_axes(axes)
            if column == 0:
                axes.set_ylabel("pairs")
        _titles(grid[0, column], name, result, ("with_ties", "without_ties"))
        grid[2, column].set_xlabel("score of A minus score of B")
    if any(result[name].all.threshold is not None for name in names):
        figure.supxlabel(
            "shaded: differences that accuracy with ties counts as a tie", size=9, color=INK
        )
    return _png(figure)


def style(number: int) -> tuple[str, str]:
    """Colour and marker of the generator of some number; no two of the first 49 are alike."""
    turn, place = divmod(number, len(COLOURS))
    return COLOURS[place], MARKERS[(place + turn) % len(MARKERS)]


def _scatter(
    axes: Axes,
    name: Dimension,
    result: EvaluationResult,
    points: tuple[Floats, Floats, list[str | None]],
    styles: dict[str, tuple[str, str]],
) -> None:
    x, y, makers = points
    shown = _spread(y)
    size = float(np.clip(6000 / max(1, len(x)), 5, 34))
    alpha = float(np.clip(12 / max(1, len(x)) ** 0.5, 0.25, 0.8))
    rest = np.array([maker not in styles for maker in makers], dtype=bool)
    plain = COLOURS[0] if not styles else OTHERS
    axes.scatter(x[rest], shown[rest], s=size, c=plain, alpha=alpha, marker="o", linewidths=0)
    for maker, (colour, marker) in styles.items():
        own = np.array([one == maker for one in makers], dtype=bool)
        axes.scatter(x[own], shown[own], s=size, c=colour, alpha=alpha, marker=marker, linewidths=0)
    logistic = result[name].all.logistic
    if logistic is not None:
        line = np.linspace(x.min(), x.max(), 200)
        axes.plot(line, logistic(line), color="white", linewidth=4.2, alpha=0.9)
        axes.plot(line, logistic(line), color=INK, linewidth=1.8)
    _titles(axes, name, result, ("srcc", "plcc_logistic"))
    axes.set_xlabel("score")
    axes.set_ylabel("mean opinion" if shown is y else "mean opinion (points spread)")
    axes.margins(0.04)
    _plain_axes(axes)


def _spread(y: Floats) -> Floats:
    """The opinions, each moved by less than a fifth of a level where there are few levels."""
    levels = np.unique(y)
    if not 2 <= len(levels) <= FEW_LEVELS:
        return y
    gap = float(np.diff(levels).min())
    return np.asarray(y + gap * np.random.default_rng(0).uniform(-0.18, 0.18, size=len(y)))


def _titles(
    axes: Axes, name: Dimension, result: EvaluationResult, measures: tuple[str, str]
) -> None:
    mark = "*, not trained" if name in result.untrained else ""
    said = "\n".join(f"{LABELS[one]} {_said(result[name].all, one)}" for one in measures)
    axes.set_title(said, loc="left", size=9, color=INK, linespacing=1.4)
    axes.annotate(
        f"{name}{mark}",
        (0, 1),
        xytext=(0, 36),
        xycoords="axes fraction",
        textcoords="offset points",
        weight="bold",
        size=12,
        color=INK,
    )


def _said(agreement: Agreement, measure: str) -> str:
    one = agreement.estimates[measure]
    if one.value is None:
        return "undefined"
    if one.low is None or one.high is None:
        return f"{one.value:.3f}"
    return f"{one.value:.3f} [{one.low:.2f}, {one.high:.2f}]"


def _figure(names: Sequence[Dimension]) -> Figure:
    columns = 2 if len(names) in (2, 4) else len(names)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(0.8 + 4.5 * columns, 1.0 + 4.2 * rows), layout=_layout())
    figure.subplots(rows, columns, squeeze=False)
    return figure


def _layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08)


def _plain_axes(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _plain(name: str) -> str:
    """A name that matplotlib neither takes for mathematics nor leaves out."""
    return f" {name}".replace("$", r"\$") if name.startswith("_") else name.replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    page = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(page, format="png", dpi=DPI, facecolor="white")
    return page.getvalue()

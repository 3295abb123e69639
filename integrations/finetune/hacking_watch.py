"""Reward hacking made visible: what drifts from its start while the training reward rises."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from aigv_reward.integrations.finetune.video_statistics import STATISTICS, diversity

Action = Literal["warn", "stop"]
Direction = Literal["both", "down", "up"]
Status = Literal["ok", "warn", "stop"]

MEMORY = 32  # looks of earlier videos that new ones are compared with
REMEDY = (
    "Look at the sample videos. Where they look worse, go back to an earlier checkpoint and train "
    "with a lower learning rate or a stronger hold on the reference, or weight the reward's other "
    "dimensions more; where they look right, raise the limit"
)


@dataclass(frozen=True)
class WatchLimit:
    """How far a statistic may drift. Both bounds must be exceeded, so noise alone is no drift.

    Attributes:
        deviations: in standard deviations of its observations at the start.
        relative: as a share of its mean at the start.
        direction: that counts as drift; a held-out score only matters when it falls.
        action: what a drift beyond the limit asks for.
    """

    deviations: float
    relative: float = 0.05
    direction: Direction = "both"
    action: Action = "warn"

    def __post_init__(self) -> None:
        if not 0 < self.deviations < math.inf:
            raise ValueError(f"deviations is {self.deviations}; it must be above 0")
        if not 0 <= self.relative < math.inf:
            raise ValueError(f"relative is {self.relative}; it must be at least 0")
        for name, known in (("direction", Direction), ("action", Action)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; choose from {', '.join(get_args(known))}"
                )


@dataclass(frozen=True)
class Drift:
    """A statistic now and at the start.

    Attributes:
        start: mean of its first observations.
        std: sample standard deviation of them.
        value: mean of its latest observations.
    """

    start: float
    std: float
    value: float

    @property
    def deviations(self) -> float:
        """Drift in standard deviations of the start; infinite where the start did not vary."""
        return _share(self.value - self.start, self.std)

    @property
    def relative(self) -> float:
        """Drift as a share of the start; infinite where that was 0."""
        return _share(self.value - self.start, abs(self.start))

    def exceeds(self, limit: WatchLimit) -> bool:
        """Whether it goes beyond both bounds of a limit in a direction that counts."""
        change = self.value - self.start
        counted = {"both": abs(change), "down": -change, "up": change}[limit.direction]
        return counted > max(limit.deviations * self.std, limit.relative * abs(self.start))


@dataclass(frozen=True)
class Verdict:
    """What an observation has shown.

    Attributes:
        status: "ok", or the most serious action that a limit asks for.
        messages: one for each limit that is exceeded.
        values: {statistic: its value in this observation}.
        drifts: {statistic: drift}, once its start and its latest observations are complete.
    """

    status: Status
    messages: tuple[str, ...] = ()
    values: dict[str, float] = field(default_factory=dict)
    drifts: dict[str, Drift] = field(default_factory=dict)

    def logs(self) -> dict[str, float]:
        """For a logger: each statistic, and its drift in standard deviations where finite."""
        found = {f"watch/{name}": value for name, value in self.values.items()}
        for name, drift in self.drifts.items():
            if math.isfinite(drift.deviations):
                found[f"watch/{name}_drift"] = drift.deviations
        return found


def watch_limits(
    deviations: float, *, action: Action = "warn", scores: Sequence[str] = ()
) -> dict[str, WatchLimit]:
    """One limit for every statistic of the frames, and for the fall of named scores."""
    limits = {name: WatchLimit(deviations, action=action) for name in STATISTICS}
    falling = WatchLimit(deviations, direction="down", action=action)
    return {**limits, "diversity": falling, **dict.fromkeys(scores, falling)}


class HackingWatch:
    """Compares generated videos and their held-out scores with how they were at the start.

    The first `baseline` observations of a statistic are its start; from then on the mean of the
    latest `window` ones is compared with it, so that one odd prompt is no drift. Diversity is the
    mean difference of new videos' looks from each other and from the last 32 before them, so it
    falls, within 32 videos, when every prompt gets one picture, in batches of one as well.

    Where several processes generate, gather `video_statistics` and scores, and observe in one.

    Args:
        limits: {statistic: limit}; of brightness, saturation, sharpness, motion, diversity and the
            names of scores. What has none is tracked and never judged.
        baseline: observations that make the start, at least 2.
        window: observations that make the present.

    Raises:
        ValueError: `baseline` under 2 or `window` under 1.
    """

    def __init__(
        self, limits: Mapping[str, WatchLimit], *, baseline: int = 4, window: int = 4
    ) -> None:
        if baseline < 2:
            raise ValueError(
                f"baseline is {baseline}; a standard deviation needs at least 2 observations"
            )
        if window < 1:
            raise ValueError(f"window is {window}; it must be at least 1")
        self.limits, self.baseline, self.window = dict(limits), baseline, window
        self._starts: dict[str, list[float]] = {}
        self._recent: dict[str, list[float]] = {}
        self._looks: list[list[float]] = []
        self._count = 0

    @torch.no_grad()
    def observe(
        self, videos: Mapping[str, Tensor], scores: Mapping[str, Tensor] | None = None
    ) -> Verdict:
        """Takes in videos, and says whether they have drifted.

        Args:
            videos: of `video_statistics`.
            scores: {name: (B,)} of the videos that have one, e.g. the reward's held-out dimensions
                or a second reward; an empty column is passed over.

        Raises:
            ValueError: a statistic or score that is not finite, a score with a statistic's name,
                or a limit on what was not observed in the first `baseline` observations.
        """
        columns = {name: videos[name] for name in STATISTICS if name != "diversity"}
        looks = videos["look"].cpu().double()
        apart = diversity(looks, torch.tensor(self._looks, dtype=torch.float64).reshape(
            -1, looks.shape[1]
        ))  # fmt: skip
        if apart is not None:
            columns["diversity"] = apart
        for name, column in (scores or {}).items():
            if name in STATISTICS:
                raise ValueError(f"a score is named {name!r}, as a statistic is; rename it")
            if column.numel():
                columns[name] = column
        values = {name: float(column.cpu().double().mean()) for name, column in columns.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}; leave out the videos that have no score")
        self._looks = [*self._looks, *looks.tolist()][-MEMORY:]
        for name, value in values.items():
            self._note(name, value)
        self._count += 1
        if self._count >= self.baseline:
            for name in self.limits:
                if name not in self._starts:
                    raise ValueError(
                        f"a limit is set on {name!r}, which was not observed; there are "
                        f"{', '.join(self._starts)}"
                    )
        return self._verdict(values)

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to go on exactly; JSON."""
        return {
            "baseline": self.baseline,
            "window": self.window,
            "count": self._count,
            "starts": {name: list(values) for name, values in self._starts.items()},
            "recent": {name: list(values) for name, values in self._recent.items()},
            "looks": [list(look) for look in self._looks],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave.

        Raises:
            ValueError: it was made with another `baseline` or `window`.
        """
        for name in ("baseline", "window"):
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"the watch was saved with {name} {state[name]} and now has "
                    f"{getattr(self, name)}; resume with the saved one"
                )
        self._count = int(state["count"])
        self._starts = {name: list(values) for name, values in state["starts"].items()}
        self._recent = {name: list(values) for name, values in state["recent"].items()}
        self._looks = [list(look) for look in state["looks"]]

    def _note(self, name: str, value: float) -> None:
        start = self._starts.setdefault(name, [])
        if len(start) < self.baseline:
            start.append(value)
        else:
            self._recent[name] = [*self._recent.get(name, []), value][-self.window :]

    def _verdict(self, values: dict[str, float]) -> Verdict:
        drifts = {}
        for name, recent in self._recent.items():
            if len(recent) == self.window:
                start = self._starts[name]
                drifts[name] = Drift(
                    statistics.fmean(start), statistics.stdev(start), statistics.fmean(recent)
                )
        exceeded = [
            name
            for name, limit in self.limits.items()
            if name in drifts and drifts[name].exceeds(limit)
        ]
        actions = {self.limits[name].action for name in exceeded}
        return Verdict(
            status="stop" if "stop" in actions else "warn" if actions else "ok",
            messages=tuple(self._message(name, drifts[name]) for name in exceeded),
            values=values,
            drifts=drifts,
        )

    def _message(self, name: str, drift: Drift) -> str:
        limit = self.limits[name]
        return (
            f"{name} drifted from {drift.start:.4g} (std {drift.std:.2g}, first {self.baseline} "
            f"observations) to {drift.value:.4g} (mean of the last {self.window}): "
            f"{drift.deviations:+.3g} standard deviations and {100 * drift.relative:+.3g} %, "
            f"beyond the limit of {limit.deviations:g} and {100 * limit.relative:g} %. {REMEDY}."
        )


def _share(change: float, whole: float) -> float:
    if whole:
        return change / whole
    return math.copysign(math.inf, change) if change else 0.0

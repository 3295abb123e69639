"""Scores of a batch of videos, one tensor a dimension."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from aigv_reward.dimensions import Dimension


@dataclass(frozen=True)
class Scores:
    """What a reward says about B videos; higher is better in every dimension.

    Attributes:
        values: {dimension: (B,)}; on the level values' range, or z-scores when `calibrated`.
        trained: dimensions that the checkpoint was trained to answer; the others' numbers are
            answers to a question that nobody taught it.
        calibrated: whether `values` are z-scores against the checkpoint's reference set.
        windows: {dimension: (B, n)}, the score of each of n windows of a video, in order, when
            `clips=n` was asked for; a video of fewer than n frames has windows that share one.
        std: {dimension: (B,)}, how far the score moves when other frames and patches are looked
            at, or from one checkpoint to the next, when `return_std` was asked for.
    """

    values: dict[Dimension, Tensor]
    trained: tuple[Dimension, ...]
    calibrated: bool = False
    windows: dict[Dimension, Tensor] | None = None
    std: dict[Dimension, Tensor] | None = None

    def __getitem__(self, name: Dimension) -> Tensor:
        if name not in self.values:
            raise ValueError(f"unknown dimension {name!r}; scored were {', '.join(self.values)}")
        return self.values[name]

    def __len__(self) -> int:
        return next(iter(self.values.values())).shape[0]

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The dimensions that were scored."""
        return tuple(self.values)

    @property
    def technical(self) -> Tensor:
        """(B,) low-level distortion, higher is cleaner."""
        return self["technical"]

    @property
    def motion(self) -> Tensor:
        """(B,) smoothness and amount of motion, higher is better."""
        return self["motion"]

    @property
    def semantic(self) -> Tensor:
        """(B,) whether the content holds together, higher is better."""
        return self["semantic"]

    @property
    def overall(self) -> Tensor:
        """(B,) overall impression, a prediction of its own."""
        return self["overall"]

    def lower_bound(self, deviations: float = 1.0) -> dict[Dimension, Tensor]:
        """{dimension: (B,)}, each score less `deviations` of its standard deviations.

        Raises:
            ValueError: the scores carry no standard deviations.
        """
        if self.std is None:
            raise ValueError("the scores have no std; ask for return_std=True")
        return {name: value - deviations * self.std[name] for name, value in self.values.items()}

    def rows(self) -> list[dict[Dimension, float]]:
        """One plain dict a video, for tables and JSON."""
        columns = {name: value.detach().tolist() for name, value in self.values.items()}
        return [{name: column[i] for name, column in columns.items()} for i in range(len(self))]

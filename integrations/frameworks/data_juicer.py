"""data-juicer: the operator `aigv_reward_filter`, found by its entry point."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import numpy as np
from data_juicer.ops.base_op import OPERATORS, UNFORKABLE, Filter
from data_juicer.utils.constant import Fields
from data_juicer.utils.resource_utils import cuda_device_count

NAME = "aigv_reward_filter"
_ERROR = "aigv_error"


@UNFORKABLE.register_module(NAME)
@OPERATORS.register_module(NAME)
class DataJuicerFilter(Filter):
    """Keeps samples whose videos pass the rules; it never raises while data are processed.

    The stats have `aigv_error`, the reason or "" a video, and `aigv_<dimension>`, a score or null a
    video; empty where all would be null. A sample without videos counts as one that failed.

    Args:
        rules: `FilterRules` as plain values; `missing` (reject or keep) decides on nulls.
        checkpoint, calibrated, reward: see `FileJudge`.
        prompt_field: the field with the text the videos were made from; None: scored without.
        any_or_all: whether any of a sample's videos must pass, or all, as in the host's filters.
        args, kwargs: the host's.

    Raises:
        ValueError: what `FileJudge` refuses, another `any_or_all`, or the host's options of
            intervals, which rules do not have.
    """

    _accelerator = "cuda"

    def __init__(
        self,
        rules: dict[str, Any],
        checkpoint: str | None = None,
        calibrated: bool = False,
        reward: str | None = None,
        prompt_field: str | None = None,
        any_or_all: str = "any",
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if any_or_all not in ("any", "all"):
            raise ValueError(f"any_or_all is {any_or_all!r}; choose any or all")
        for name, value in (
            ("reversed_range", False),
            ("min_closed_interval", True),
            ("max_closed_interval", True),
        ):
            if kwargs.get(name, value) is not value:
                raise ValueError(
                    f"{name} is {kwargs[name]!r}, but rules have no intervals; leave it out and "
                    "write minimum and maximum in rules"
                )
        # Not above: data-juicer imports this module at every start, used or not.
        from aigv_reward.integrations.frameworks.file_judge import FileJudge

        self.judge = FileJudge(rules, checkpoint=checkpoint, calibrated=calibrated, reward=reward)
        self.prompt_field, self.any_or_all = prompt_field, any_or_all

    def compute_stats_single(
        self, sample: dict[str, Any], rank: int | None = None, context: bool = False
    ) -> dict[str, Any]:
        """The sample with its scores among the stats; `context` is not read."""
        device = f"cuda:{(rank or 0) % cuda_device_count()}" if self.use_cuda() else "cpu"
        videos = sample[self.video_key] if self.video_key in sample else None
        if not isinstance(videos, list | tuple):  # one path where a list belongs, or none
            videos = [videos]
        field, prompt = self.prompt_field, None
        if field is not None:  # a field that is absent is no text, which the judge refuses
            prompt = sample[field] if field in sample else KeyError(field)
        found = [self.judge.scores(one, prompt, device=device) for one in videos or [None]]
        stats = sample[Fields.stats]
        for name in self.judge.dimensions:
            column = [scores[name] for scores, _ in found]
            # The type of a column is fixed by what is written first, and nulls alone have none.
            failed = all(score is None for score in column)
            stats[f"aigv_{name}"] = np.empty(0, np.float64) if failed else column
        stats[_ERROR] = [error for _, error in found]
        return sample

    def process_single(self, sample: dict[str, Any]) -> bool:
        """Whether the sample stays, by its stats alone; stats that are absent count as nulls."""
        stats, rules = sample[Fields.stats], self.judge.rules
        columns = [_column(stats.get(f"aigv_{name}")) for name in rules.dimensions]
        kept = [
            rules.decide(dict(zip(rules.dimensions, row, strict=True))).kept
            for row in zip_longest(*columns)
        ]
        return any(kept) if self.any_or_all == "any" else all(kept)


def _column(values: Any) -> list[float | None]:
    return [None] if values is None or len(values) == 0 else list(values)

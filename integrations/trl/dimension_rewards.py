"""One reward function a dimension, which share the videos that they score."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aigv_reward import RewardFn
from aigv_reward.integrations.trl.logs import log
from aigv_reward.integrations.trl.prompt_reward import VideoPromptReward
from aigv_reward.integrations.trl.request_scores import RowScores


class DimensionReward:
    """What a `VideoPromptReward` says in one dimension; `video_reward_funcs` makes it."""

    def __init__(self, shared: VideoPromptReward, dimension: str, *, logs: bool) -> None:
        self.shared, self.dimension, self.logs = shared, dimension, logs
        self.__name__ = dimension

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """The dimension's score of each row, None where there is none.

        Raises:
            ValueError: the reward does not return the dimension.
        """
        results = self.shared.results(prompts, completions, columns)
        if self.logs:
            log(self.shared.__name__, results, columns)
        return [self._of(result) if isinstance(result, RowScores) else None for result in results]

    def _of(self, result: RowScores) -> float:
        if self.dimension not in result.values:
            raise ValueError(
                f"the reward does not return {self.dimension!r}; it returned "
                f"{', '.join(result.values)}"
            )
        return result.values[self.dimension]


class AsyncDimensionReward(DimensionReward):
    """`DimensionReward` that TRL awaits."""

    async def __call__(  # type: ignore[override]
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """As `DimensionReward`."""
        return await asyncio.to_thread(super().__call__, prompts, completions, **columns)


def video_reward_funcs(
    generator: Any,
    reward: RewardFn,
    *,
    dimensions: Sequence[str],
    asynchronous: bool = False,
    **arguments: Any,
) -> list[Any]:
    """A reward function for each dimension; a batch is generated and scored once for all of them.

    TRL weighs them (`reward_weights`), sums them before or after normalising
    (`multi_objective_aggregation`) and logs each under its dimension's name.

    Args:
        generator: as in `VideoPromptReward`.
        reward: one that returns dimensions.
        dimensions: their names, in the order of `reward_weights`.
        asynchronous: functions that TRL awaits.
        arguments: of `VideoPromptReward`, but for `weights`.

    Raises:
        ValueError: no dimension, one twice, or what `VideoPromptReward` refuses.
    """
    if isinstance(dimensions, str) or not dimensions or len(set(dimensions)) < len(dimensions):
        raise ValueError(f"dimensions are {dimensions!r}; name each once, in a list")
    if "weights" in arguments:
        raise ValueError("leave weights out: TRL's reward_weights weigh the functions")
    shared = VideoPromptReward(generator, reward, dimensions=dimensions, **arguments)
    kind = AsyncDimensionReward if asynchronous else DimensionReward
    return [kind(shared, name, logs=name == dimensions[0]) for name in dimensions]

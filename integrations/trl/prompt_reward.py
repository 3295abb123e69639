"""The reward of the video that a rewritten prompt gives, for trainers of language models."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aigv_reward import RewardFn
from aigv_reward.integrations.diffusers.candidate_inputs import frame_rate
from aigv_reward.integrations.rewards import counted_weights
from aigv_reward.integrations.trl.conversation import check_lengths, column, text_of
from aigv_reward.integrations.trl.generation import OURS, Request, generator_columns, is_pipeline
from aigv_reward.integrations.trl.logs import log
from aigv_reward.integrations.trl.request_scores import (
    RequestScorer,
    Result,
    RowFailure,
    RowScores,
)


class VideoPromptReward:
    """A reward function of TRL: completion -> video -> score.

    ```python
    reward_func = VideoPromptReward(pipe, VideoReward.from_pretrained(), fps=16, num_frames=17)
    GRPOTrainer(model, reward_funcs=reward_func, train_dataset=prompts, args=args)
    ```

    All completions of a prompt get the same noise, so that only the text varies: the seed is made
    from the prompt, or taken from a column `seed`. Equal completions of a prompt are generated
    once. The video is judged by the prompt that the user gave, so that writing about something
    else does not pay.

    A row whose generation or score fails is None, which GRPO and RLOO leave out; the reason is
    logged, and a call in which every row fails raises. Online DPO would count None as 0, so
    there a failure raises.

    Args:
        generator: a diffusers pipeline, or `f(prompts, *, seeds, **columns)` that returns videos
            as (B, T, 3, H, W) or as a list of (T, 3, H, W), in [0, 1].
        reward: any reward.
        dimensions: whose mean is the total; instead of `weights`.
        weights: {dimension: weight} of the total; None: the reward's own, see `scores_of`.
        batch_size: videos that are made at once. Rows with images are made alone.
        cache: prompts whose scores are remembered, the latest; 0 for none.
        fps: frames per second of the videos; None: the pipeline's own where it has one.
        seed: what the seeds of prompts are made with.
        judged_by: what the reward reads: "prompt", "completion", or a column of the data set. A
            prompt with instructions around the user's text needs a column.
        columns: {column of the data set: argument of the generator}, beside those that are called
            like an argument. TRL shows columns `image` and `images` to its policy; a picture for
            the generator alone needs another name.
        parse: what to make a video of: text of the completion -> prompt, or None for a row
            without one, such as a reasoning that was cut off.
        name: in TRL's logs.
        generation_kwargs: of every call of the generator: sizes, steps, `negative_prompt`, ...

    Raises:
        ValueError: counts below their least value, `dimensions` beside `weights`, or arguments
            that are made here.
    """

    def __init__(
        self,
        generator: Any,
        reward: RewardFn,
        *,
        dimensions: Sequence[str] | None = None,
        weights: Mapping[str, float] | None = None,
        batch_size: int = 1,
        cache: int = 4096,
        fps: float | None = None,
        seed: int = 0,
        judged_by: str = "prompt",
        columns: Mapping[str, str] | None = None,
        parse: Callable[[str], str | None] | None = None,
        name: str = "video",
        **generation_kwargs: Any,
    ) -> None:
        if batch_size < 1 or cache < 0:
            raise ValueError(
                f"batch_size is {batch_size} and cache {cache}; they must be at least 1 and 0"
            )
        self.names = generator_columns(generator)
        for argument in generation_kwargs:
            if argument in OURS or (self.names is not None and argument not in self.names):
                known = "anything else" if self.names is None else ", ".join(sorted(self.names))
                raise ValueError(
                    f"the generator takes no {argument!r} from here; it takes "
                    f"{known or 'nothing else'}"
                )
        if is_pipeline(generator):
            fps, generation_kwargs = frame_rate(generator, fps, generation_kwargs)
        self.scorer = RequestScorer(
            generator,
            reward,
            arguments=generation_kwargs,
            fps=fps,
            weights=counted_weights(dimensions, weights),
            batch_size=batch_size,
            cache=cache,
        )
        self.seed, self.judged_by, self.parse = seed, judged_by, parse
        self.columns = dict(columns or {})
        self.__name__ = name

    def __call__(
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """The total of each row, in TRL's calling convention; None where there is none.

        Raises:
            ValueError: prompts, completions or columns that do not fit together.
            Exception: what the generator or reward raised, where every row failed.
        """
        results = self.results(prompts, completions, columns)
        log(self.__name__, results, columns)
        return [result.total if isinstance(result, RowScores) else None for result in results]

    def results(
        self, prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]
    ) -> list[Result]:
        """Scores by dimension of each row, and why the others have none."""
        check_lengths(prompts, completions)
        requests = self.requests(prompts, completions, columns)
        made = iter(self.scorer.scores([r for r in requests if r is not None]))
        results = [
            next(made) if request is not None else RowFailure(ValueError("no prompt was found"))
            for request in requests
        ]
        if "trainer_state" in columns and "log_metric" not in columns:
            for result in results:
                if isinstance(result, RowFailure):
                    raise RuntimeError(
                        "a row has no score, and this trainer counts a missing one as 0"
                    ) from result.error
        return results

    def requests(
        self, prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]
    ) -> list[Request | None]:
        """What is generated for each row; None where no prompt was found."""
        count = len(prompts)
        texts = [text_of(prompt) for prompt in prompts]
        written = [text_of(completion) for completion in completions]
        asked = [self.parse(text) if self.parse else text for text in written]
        judged: Sequence[str | None]
        if self.judged_by in ("prompt", "completion"):
            judged = texts if self.judged_by == "prompt" else asked
        else:
            judged = [text_of(cell) for cell in column(columns, self.judged_by, count)]
        seeds = self._seeds(texts, columns)
        given = {name: column(columns, name, count) for name in self._given(columns)}
        return [
            None
            if asked[row] is None
            else Request(
                prompt=str(asked[row]),
                seed=seeds[row],
                judged_by=str(judged[row]),
                columns={self.columns.get(n, n): cells[row] for n, cells in given.items()},
            )
            for row in range(count)
        ]

    def _given(self, columns: Mapping[str, Any]) -> list[str]:
        """The columns that reach the generator, those that were named among them."""
        if self.names is None:
            hosts = {"trainer_state", "log_extra", "log_metric", "completion_ids", "environments"}
            own = [name for name in columns if name not in hosts | OURS | {self.judged_by}]
        else:
            own = [name for name in columns if name in self.names]
        return list(dict.fromkeys([*own, *self.columns]))

    def _seeds(self, texts: Sequence[str], columns: Mapping[str, Any]) -> list[int]:
        if "seed" in columns:
            return [int(seed) for seed in column(columns, "seed", len(texts))]
        return [seed_of(text, self.seed) for text in texts]


class AsyncVideoPromptReward(VideoPromptReward):
    """`VideoPromptReward` that TRL awaits, beside its other asynchronous reward functions.

    Videos are made in a thread of their own, one call at a time.
    """

    async def __call__(  # type: ignore[override]
        self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any
    ) -> list[float | None]:
        """As `VideoPromptReward`."""
        return await asyncio.to_thread(super().__call__, prompts, completions, **columns)


def seed_of(text: str, seed: int) -> int:
    """The seed of a prompt, below 2**31: the same in every process and run."""
    digest = hashlib.sha256(f"{seed}\n{text}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

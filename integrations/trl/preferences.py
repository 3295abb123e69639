"""Data sets of preferences, made by a reward from candidates."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from datasets import Dataset

from aigv_reward import FilterRules, RewardFn
from aigv_reward.integrations.rewards import counted_weights
from aigv_reward.integrations.trl.preference_card import card_of
from aigv_reward.integrations.trl.preference_pairs import Strategy, pairs_of
from aigv_reward.integrations.trl.request_scores import RowScores
from aigv_reward.integrations.trl.video_scores import score_video

Form = Literal["path", "text", "kto"]


def preference_dataset(
    candidates: Iterable[Mapping[str, Any]],
    reward: RewardFn | None,
    *,
    min_margin: float = 0.0,
    dimensions: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
    strategy: Strategy = "best_worst",
    form: Form = "path",
    desirable: FilterRules | None = None,
    fps: float | None = None,
    card: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Pairs of candidates of a prompt, better and worse, as trainers of preferences read them.

    ```python
    rows = [{"prompt": "a cat", "video": "cat_0.mp4"}, {"prompt": "a cat", "video": "cat_1.mp4"}]
    VideoDPOTrainer(pipe, args, preference_dataset(rows, reward, min_margin=0.2))
    ```

    Every candidate is scored alone, in the order given; groups keep the order in which their
    prompts first occur. The same candidates and reward give the same data set.

    Args:
        candidates: rows {"prompt", "video", ...}. A video is a path, bytes or a tensor; form
            "path" needs paths. Forms "text" and "kto" take the rewritten prompt that gave the
            video from "completion". With `scores` {dimension: score} in each row, and no reward,
            nothing is scored; a score that is None or not finite is none.
        reward: any reward, or None.
        min_margin: least difference of totals.
        dimensions: that count: the total is their mean and "pareto" compares them. None: all.
        weights: {dimension: weight} of the total, instead of `dimensions`.
        strategy: "best_worst": one pair a prompt. "all": every pair over the margin. "pareto":
            those whose chosen side is better in every dimension, by the margin.
        form: "path": prompt, chosen and rejected paths, for `VideoDPOTrainer`. "text": chosen and
            rejected are completions, for TRL's `DPOTrainer`. "kto": prompt, completion, label, for
            TRL's `KTOTrainer`; there are no pairs, and `desirable` decides.
        desirable: rules that a candidate's scores must pass to be labelled True, for "kto".
        fps: of videos that are tensors.
        card: where to write the data set card, such as "out/README.md"; it is the data set's
            `info.description` in any case.

    Returns:
        Columns prompt, chosen, rejected, margin, chosen_scores, rejected_scores; or prompt,
        completion, label, scores.

    Raises:
        ValueError: arguments or rows that do not fit together, or no pair.
        VideoDecodeError: a video that cannot be read.
    """
    if form not in get_args(Form):
        raise ValueError(f"form is {form!r}; choose {', '.join(get_args(Form))}")
    if (form == "kto") != (desirable is not None):
        raise ValueError("give desirable=FilterRules(...) with form='kto', and only there")
    rows = _checked(candidates, form, scored=reward is None)
    counted = counted_weights(dimensions, weights)
    scores = [_score(reward, row, fps, counted, place) for place, row in enumerate(rows)]
    if desirable is not None:
        made = _labelled(rows, scores, desirable)
    else:
        made = _paired(rows, scores, dimensions, strategy, min_margin, form)
    if not made:
        raise ValueError(
            f"{len(rows)} candidates of {len({row['prompt'] for row in rows})} prompts give no "
            f"pair over min_margin={min_margin} with strategy={strategy!r}; lower it, or give "
            "several candidates a prompt"
        )
    text = card_of(made, [score.values for score in scores], form, strategy, min_margin)
    dataset = Dataset.from_list(made)
    dataset.info.description = text
    if card is not None:
        Path(card).parent.mkdir(parents=True, exist_ok=True)
        Path(card).write_text(text, encoding="utf-8")
    return dataset


def _checked(
    candidates: Iterable[Mapping[str, Any]], form: Form, *, scored: bool
) -> list[Mapping[str, Any]]:
    rows = list(candidates)
    if not rows:
        raise ValueError("there are no candidates; give rows with prompt and video")
    needed = ["prompt", "scores" if scored else "video"]
    needed.append("video" if form == "path" else "completion")
    for place, row in enumerate(rows):
        for name in needed:
            if row.get(name) is None:
                raise ValueError(
                    f"candidate {place} has no {name!r}; it has {', '.join(row)}, and "
                    f"form={form!r} needs {', '.join(dict.fromkeys(needed))}"
                )
        if form == "path" and not isinstance(row["video"], str | os.PathLike):
            kind = type(row["video"]).__name__
            raise ValueError(f"candidate {place}: the video is a {kind}; form='path' needs paths")
    return rows


def _score(
    reward: RewardFn | None,
    row: Mapping[str, Any],
    fps: float | None,
    weights: Mapping[str, float] | None,
    place: int,
) -> RowScores:
    if reward is not None:
        return score_video(reward, row["video"], row["prompt"], fps=fps, weights=weights)
    told = row["scores"]
    values = {str(n): float(v) for n, v in told.items() if v is not None and math.isfinite(v)}
    total = "overall" in told or not told
    counted = weights or ({"overall": 1.0} if total else dict.fromkeys(told, 1.0))
    if len(told) > 1 and weights is None and "overall" not in told:
        raise ValueError(
            f"candidate {place} has scores of {', '.join(told)} and no 'overall'; say what "
            "counts with dimensions=[...] or weights={...}"
        )
    for name in counted:
        if name not in values:
            raise ValueError(f"candidate {place} has no score of {name!r}; leave it out")
    return RowScores(sum(values[name] * weight for name, weight in counted.items()), values)


def _paired(
    rows: Sequence[Mapping[str, Any]],
    scores: Sequence[RowScores],
    dimensions: Sequence[str] | None,
    strategy: Strategy,
    min_margin: float,
    form: Form,
) -> list[dict[str, Any]]:
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row["prompt"], []).append(place)
    made = []
    for prompt, places in groups.items():
        compared = [
            {name: scores[place].values[name] for name in dimensions or scores[place].values}
            for place in places
        ]
        totals = [scores[place].total for place in places]
        for pair in pairs_of(totals, compared, strategy=strategy, min_margin=min_margin):
            sides = {"chosen": places[pair.chosen], "rejected": places[pair.rejected]}
            values = {side: _side(rows[place], form) for side, place in sides.items()}
            if form == "text" and values["chosen"] == values["rejected"]:
                continue  # one text with two seeds says nothing about the text
            own = {f"{side}_scores": dict(scores[place].values) for side, place in sides.items()}
            made.append({"prompt": prompt, **values, "margin": pair.margin, **own})
    return made


def _side(row: Mapping[str, Any], form: Form) -> str:
    return os.fspath(row["video"]) if form == "path" else str(row["completion"])


def _labelled(
    rows: Sequence[Mapping[str, Any]], scores: Sequence[RowScores], rules: FilterRules
) -> list[dict[str, Any]]:
    return [
        {
            "prompt": row["prompt"],
            "completion": str(row["completion"]),
            "label": rules.decide(score.values).kept,
            "scores": dict(score.values),
        }
        for row, score in zip(rows, scores, strict=True)
    ]

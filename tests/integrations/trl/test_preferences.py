"""Data sets of preferences in the form of each trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from aigv_reward import FilterRules, VideoReward, read_video
from aigv_reward.integrations.finetune import read_preferences
from aigv_reward.integrations.trl import preference_dataset


def tensors(*lights: float) -> list[dict[str, Any]]:
    return [
        {"prompt": "a cat", "completion": f"text {i}", "video": torch.full((2, 3, 4, 4), light)}
        for i, light in enumerate(lights)
    ]


def scored(*scores: dict[str, Any], prompt: str = "a cat") -> list[dict[str, Any]]:
    rows = enumerate(scores)
    return [{"prompt": prompt, "video": f"{prompt[-1]}{i}.mp4", "scores": row} for i, row in rows]


def made(*args: Any, **kwargs: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = preference_dataset(*args, **kwargs).to_list()
    return rows


def test_paths_for_a_trainer_of_video_generators(
    clips: dict[str, str], bright: Any, tmp_path: Path
) -> None:
    names = ["city_clean", "harbour_clean", "library_clean", "harbour_compression"]
    rows = [{"prompt": name.split("_")[0], "video": clips[name]} for name in names]
    rows[1]["video"] = Path(rows[1]["video"])  # type: ignore[call-overload]
    dataset = preference_dataset(rows, bright)
    light = [float((read_video(clips[name]).frames.float() / 255).mean()) for name in names]
    better, worse = (1, 3) if light[1] > light[3] else (3, 1)
    assert isinstance(dataset, Dataset) and len(dataset) == 1
    assert dataset[0] == {
        "prompt": "harbour",
        "chosen": clips[names[better]],
        "rejected": clips[names[worse]],
        "margin": pytest.approx(light[better] - light[worse], abs=1e-6),
        "chosen_scores": {"reward": pytest.approx(light[better], abs=1e-6)},
        "rejected_scores": {"reward": pytest.approx(light[worse], abs=1e-6)},
    }
    read = read_preferences(dataset)
    assert read.kind == "videos" and read[0] == dataset[0]


def test_the_bundled_default_prefers_the_clean_clip(clips: dict[str, str]) -> None:
    rows = [
        {"prompt": "a harbour", "video": clips[name]}
        for name in ("harbour_warp", "harbour_clean", "harbour_compression")
    ]
    lite = VideoReward.from_pretrained()
    (pair,) = made(rows, lite)
    assert pair["chosen"] == clips["harbour_clean"]
    assert pair["chosen_scores"].keys() == {"technical", "motion", "semantic", "overall"}
    gained = pair["chosen_scores"]["overall"] - pair["rejected_scores"]["overall"]
    assert pair["margin"] == pytest.approx(gained, abs=1e-5)


def test_rewritten_prompts_for_dpo(bright: Any) -> None:
    rows = tensors(0.25, 0.75, 0.5)
    assert made(rows, bright, form="text", strategy="all", min_margin=0.25) == [
        {
            "prompt": "a cat",
            "chosen": f"text {chosen}",
            "rejected": f"text {rejected}",
            "margin": margin,
            "chosen_scores": {"reward": rows[chosen]["video"].mean().item()},
            "rejected_scores": {"reward": rows[rejected]["video"].mean().item()},
        }
        for chosen, rejected, margin in [(1, 0, 0.5), (1, 2, 0.25), (2, 0, 0.25)]
    ]
    (row,) = preference_dataset(rows, bright, form="text")
    assert (row["chosen"], row["rejected"]) == ("text 1", "text 0")


def test_a_text_is_never_compared_with_itself(bright: Any) -> None:
    rows = tensors(0.25, 0.75, 0.5)
    rows[1]["completion"] = "text 0"
    pairs = made(rows, bright, form="text", strategy="all")
    assert [(row["chosen"], row["rejected"]) for row in pairs] == [
        ("text 0", "text 2"),
        ("text 2", "text 0"),
    ]


def test_labels_for_kto(judge: Any) -> None:
    rules = FilterRules(minimum={"light": 0.5})
    rows = preference_dataset(tensors(0.25, 0.5, 0.75), judge, form="kto", desirable=rules)
    assert rows["label"][:] == [False, True, True]
    assert rows["completion"][:] == ["text 0", "text 1", "text 2"]
    assert rows.column_names == ["prompt", "completion", "label", "scores"]
    assert rows[0]["scores"] == {"light": 0.25, "motion": 0.0, "words": 2.0, "overall": 2.25}
    assert "3 completions of 1 prompts; 2 are desirable and 1 are not." in rows.info.description


def test_strategies_choose_within_each_prompt() -> None:
    """Of the dogs, d1 beats d0 in both; of the cats no one does. Prompts keep their order."""
    rows = [
        *scored({"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 4.0}, prompt="a dog"),
        *scored({"a": 9.0, "b": 0.0}, {"a": 8.0, "b": 3.0}, {"a": 7.0, "b": 3.5}, prompt="a cat"),
    ]
    mixed = [rows[0], rows[2], rows[1], *rows[3:]]

    def sides(**settings: Any) -> list[tuple[str, str, float]]:
        found = made(mixed, None, dimensions=["a", "b"], **settings)
        return [(r["chosen"][:2], r["rejected"][:2], r["margin"]) for r in found]

    dogs = ("g1", "g0", 2.0)
    assert sides() == [dogs, ("t1", "t0", 1.0)]
    every = [dogs, ("t1", "t0", 1.0), ("t2", "t0", 0.75), ("t1", "t2", 0.25)]
    assert sides(strategy="all") == every
    assert sides(strategy="all", min_margin=0.75) == every[:3]
    assert sides(strategy="pareto") == sides(strategy="pareto", min_margin=1.0) == [dogs]
    weighted = made(mixed, None, weights={"a": 1.0, "b": -0.5}, strategy="all", min_margin=2.0)
    assert [(r["chosen"][:2], r["margin"]) for r in weighted] == [("t0", 3.75), ("t0", 2.5)]


def test_dimensions_decide_what_pareto_compares() -> None:
    rows = scored({"a": 2.0, "b": 2.0, "c": 0.0}, {"a": 1.0, "b": 1.0, "c": 1.0})
    (pair,) = made(rows, None, dimensions=["a", "b"], strategy="pareto")
    assert pair["chosen"] == "t0.mp4" and pair["margin"] == 1.0
    assert pair["chosen_scores"] == rows[0]["scores"]
    with pytest.raises(ValueError, match="strategy='pareto'; lower it, or give several"):
        made(rows, None, weights={"a": 1.0, "b": 1.0}, strategy="pareto")


def test_of_given_scores_overall_counts_or_the_only_one() -> None:
    both = scored({"a": 1.0, "overall": 2.0}, {"a": 5.0, "overall": 1.0})
    assert made(both, None)[0]["chosen"] == "t0.mp4"
    assert made(scored({"a": 1.0}, {"a": 3.0}), None)[0]["margin"] == 2.0


@pytest.mark.parametrize("absent", [None, float("nan"), float("inf")])
def test_a_score_that_is_absent_does_not_count(absent: Any) -> None:
    rows = scored({"a": 1.0, "b": absent}, {"a": 0.0, "b": 1.0})
    (pair,) = made(rows, None, dimensions=["a"])
    assert pair["chosen"] == "t0.mp4" and pair["chosen_scores"].get("b") is None
    with pytest.raises(ValueError, match="candidate 0 has no score of 'b'; leave it out"):
        made(rows, None, dimensions=["b"])
    with pytest.raises(ValueError, match="scored in a and another in a, b; pareto compares what"):
        made(rows, None, weights={"a": 1.0}, strategy="pareto")
    for scores in ({"overall": absent, "a": 1.0}, {}):
        with pytest.raises(ValueError, match="candidate 0 has no score of 'overall'; leave it"):
            made(scored(scores), None)

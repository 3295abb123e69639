"""Data sets of preferences from candidates."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward import FilterRules, VideoReward
from aigv_reward.integrations.finetune import read_preferences
from aigv_reward.integrations.trl import preference_dataset

CLIPS = sorted(Path("examples/clips").glob("*.mp4"))


def measure(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    level = frames.mean(dim=(1, 2, 3, 4))
    return {"overall": level, "motion": 1 - level}


def painted(*levels: float, prompt: str = "a") -> list[dict[str, Any]]:
    return [
        {"prompt": prompt, "completion": f" {n}", "video": torch.full((2, 3, 4, 4), level)}
        for n, level in enumerate(levels)
    ]


def scored(*rows: tuple[float, float], prompt: str = "a") -> list[dict[str, Any]]:
    return [
        {"prompt": prompt, "video": f"{n}.mp4", "scores": {"motion": m, "technical": t}}
        for n, (m, t) in enumerate(rows)
    ]


def test_paths_of_real_clips_are_pairs_that_video_dpo_reads(tmp_path: Path) -> None:
    rows = [{"prompt": clip.stem.split("_")[0], "video": clip} for clip in CLIPS]
    pairs = preference_dataset(rows, VideoReward.from_pretrained(), card=tmp_path / "d/README.md")
    assert pairs["prompt"] == ["city", "harbour", "library"]
    assert [Path(path).stem for path in pairs["chosen"]] == [
        "city_clean", "harbour_clean", "library_clean",
    ]  # fmt: skip
    for row in pairs:
        expected = row["chosen_scores"]["overall"] - row["rejected_scores"]["overall"]
        assert row["margin"] == pytest.approx(expected)
    read = read_preferences(pairs)
    assert len(read) == 3 and read.kind == "videos"
    card = (tmp_path / "d/README.md").read_text("utf-8")
    assert card == pairs.info.description
    assert "from 9 candidates" in card and "Scores of all candidates: technical" in card


def test_the_same_candidates_give_the_same_data_set() -> None:
    rows = painted(0.2, 0.8, 0.5) + painted(0.1, 0.1, prompt="b")
    first = preference_dataset(rows, measure, strategy="all", form="text")
    second = preference_dataset(rows, measure, strategy="all", form="text")
    assert first.to_list() == second.to_list()
    assert [(r["chosen"], r["rejected"]) for r in first] == [
        (" 1", " 0"),
        (" 2", " 0"),
        (" 1", " 2"),
    ]
    assert set(first["prompt"]) == {"a"}  # b's are equal


def test_one_text_with_two_videos_is_no_pair() -> None:
    rows = [row | {"completion": " same"} for row in painted(0.2, 0.8)]
    with pytest.raises(ValueError, match="2 candidates of 1 prompts give no pair over min_margin"):
        preference_dataset(rows, measure, form="text")


def test_dimensions_decide() -> None:
    motion = preference_dataset(painted(0.2, 0.8), measure, dimensions=["motion"], form="text")
    assert motion[0]["chosen"] == " 0"
    both = preference_dataset(
        scored((1.0, 3.0), (2.0, 4.0), (3.0, 1.0)), None,
        dimensions=["motion", "technical"], strategy="pareto",
    )  # fmt: skip
    assert [(r["chosen"], r["rejected"], r["margin"]) for r in both] == [("1.mp4", "0.mp4", 1.0)]


def test_scores_that_are_there_need_no_reward() -> None:
    pairs = preference_dataset(scored((1.0, 1.0), (2.0, 0.0)), None, weights={"technical": 2.0})
    assert (pairs[0]["chosen"], pairs[0]["margin"]) == ("0.mp4", 2.0)
    with pytest.raises(ValueError, match="scores of motion, technical and no 'overall'"):
        preference_dataset(scored((1.0, 1.0), (2.0, 0.0)), None)
    with pytest.raises(ValueError, match="candidate 0 has no score of 'semantic'"):
        preference_dataset(scored((1.0, 1.0)), None, dimensions=["semantic"])


def test_labels_by_threshold() -> None:
    rules = FilterRules(minimum={"overall": 0.5})
    made = preference_dataset(painted(0.2, 0.5, 0.8), measure, form="kto", desirable=rules)
    assert made["label"] == [False, True, True]
    assert made["completion"] == [" 0", " 1", " 2"]
    assert made[0]["scores"]["overall"] == pytest.approx(0.2)
    for form, given in (("kto", None), ("text", rules)):
        with pytest.raises(ValueError, match="with form='kto', and only there"):
            preference_dataset(painted(0.2), measure, form=form, desirable=given)  # type: ignore[arg-type]


def test_a_video_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    shutil.copy("README.md", tmp_path / "text.mp4")
    rows = [{"prompt": "a", "video": str(tmp_path / "text.mp4")}]
    with pytest.raises(ValueError, match="cannot read video"):
        preference_dataset(rows, measure)


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([], {}, "there are no candidates"),
        ([{"prompt": "a"}], {}, "candidate 0 has no 'video'; it has prompt"),
        (painted(0.5), {}, "the video is a Tensor; form='path' needs paths"),
        (painted(0.5), {"form": "pairs"}, "form is 'pairs'; choose path, text, kto"),
        (painted(0.5), {"form": "text", "strategy": "most"}, "strategy is 'most'"),
        (painted(0.5), {"form": "text", "dimensions": "motion"}, "name at least one, in a list"),
        (
            painted(0.5),
            {"form": "text", "dimensions": ["motion"], "weights": {"motion": 1.0}},
            "give dimensions or weights, not both",
        ),
    ],
)
def test_what_is_refused(rows: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preference_dataset(rows, measure, **settings)

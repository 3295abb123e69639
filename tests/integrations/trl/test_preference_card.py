"""The card of a data set of preferences, and that a data set comes out the same again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward import FilterRules
from aigv_reward.integrations.trl import preference_dataset
from aigv_reward.integrations.trl.preference_card import card_of, histogram


@given(st.lists(st.integers(-40, 40).map(lambda n: n / 8), min_size=2, max_size=60))
def test_bins_of_equal_width_count_every_value(values: list[float]) -> None:
    lines = histogram(values)
    low, high = min(values), max(values)
    if low == high:
        assert lines == [f"{low:.3f}  {'█' * 40}  {len(values)}"]
        return
    counts = [int(line.split()[-1]) for line in lines]
    edges = [low + (high - low) * i / 10 for i in range(11)]
    assert len(counts) == 10 and sum(counts) == len(values)
    for i in range(11):  # cumulated, up to values that lie on an edge within rounding
        below = sum(value < edges[i] - 1e-9 for value in values)
        assert below <= sum(counts[:i]) <= sum(value < edges[i] + 1e-9 for value in values)
    bars = [line.count("█") for line in lines]
    assert max(bars) == 40
    for bar, count in zip(bars, counts, strict=True):
        assert (bar > 0) == (count > 0) and bar - 1 < 40 * count / max(counts) <= bar


def test_a_histogram_by_hand() -> None:
    lines = histogram([-1.0, -0.95, 0.0, 0.0, 0.0, 0.0, 9.0])
    assert lines[0] == f"-1.000 ..  0.000  {'█' * 20:<40}  2"
    assert lines[1] == f" 0.000 ..  1.000  {'█' * 40}  4"
    assert lines[9] == f" 8.000 ..  9.000  {'█' * 10:<40}  1"
    assert [line.split()[-1] for line in lines[2:9]] == ["0"] * 7


def test_a_card_of_pairs() -> None:
    rows = [{"prompt": "a", "margin": 0.5}, {"prompt": "b", "margin": 1.5}]
    scores = [{"motion": 1.0, "overall": 2.0}, {"motion": 3.0}, {"motion": 3.0}]
    card = card_of(rows, scores, "path", "all", 0.25)
    assert card.startswith("---\ntags:\n- aigv-reward\n- dpo\n---\n\n# Preferences by a video")
    assert "2 pairs of 2 prompts, from 3 candidates; strategy `all`, least margin 0.25." in card
    assert re.findall(r"^## (.*)$", card, re.M) == [
        "Margins",
        "Scores of all candidates: motion",
        "Scores of all candidates: overall",
    ]
    counts = [
        [int(line.split()[-1]) for line in block.splitlines()]
        for block in re.findall(r"```text\n(.*?)\n```", card, re.S)
    ]
    assert counts == [[1, *[0] * 8, 1], [1, *[0] * 8, 2], [1]]
    assert card.endswith("```\n")


def test_a_card_of_labels_has_no_margins() -> None:
    rows = [{"prompt": "a", "label": True}, {"prompt": "a", "label": False}]
    card = card_of(rows, [{"motion": 1.0}, {"motion": 2.0}], "kto", "all", 0.0)
    assert "- kto\n" in card and "Margins" not in card and "strategy" not in card
    assert "2 completions of 1 prompts; 1 are desirable and 1 are not." in card


def candidates() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "prompt": f"prompt {i % 3}",
            "completion": f"text {i}",
            "video": torch.rand(4, 3, 6, 8, generator=generator),
        }
        for i in range(9)
    ]


@pytest.mark.parametrize("form", ["text", "kto"])
def test_the_same_candidates_give_the_same_rows_and_card(
    judge: Any, tmp_path: Path, form: Any
) -> None:
    rules = FilterRules(minimum={"light": 0.5}) if form == "kto" else None
    path = tmp_path / "out" / "README.md"
    one, other = (
        preference_dataset(
            iter(candidates()), judge, form=form, strategy="all", desirable=rules, card=card
        )
        for card in (path, None)
    )
    assert len(one) == 9 and one.to_list() == other.to_list() and one.features == other.features
    assert one.info.description == other.info.description == path.read_text(encoding="utf-8")


def test_the_card_shows_candidates_without_a_pair(judge: Any) -> None:
    dataset = preference_dataset(candidates(), judge, form="text", weights={"light": 1.0})
    assert len(dataset) == 3
    assert "3 pairs of 3 prompts, from 9 candidates; strategy `best_worst`, least margin 0." in (
        dataset.info.description
    )
    section = dataset.info.description.split("Scores of all candidates: light")[1].split("##")[0]
    assert sum(int(line.split()[-1]) for line in section.splitlines() if ".." in line) == 9

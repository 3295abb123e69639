"""Which candidates make a pair, against brute force."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigv_reward.integrations.trl.preference_card import card_of, histogram
from aigv_reward.integrations.trl.preference_pairs import Pair, pairs_of

SCORES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6
)  # few values, so that there are ties


@given(SCORES, st.integers(0, 3))
def test_all_and_pareto_are_what_brute_force_finds(rows: list[Any], margin: int) -> None:
    totals = [float(a + b) for a, b in rows]
    values = [{"motion": float(a), "technical": float(b)} for a, b in rows]
    indices = permutations(range(len(rows)), 2)
    wide = [(i, j) for i, j in indices if totals[i] > totals[j] and totals[i] - totals[j] >= margin]
    found = pairs_of(totals, values, strategy="all", min_margin=margin)
    assert sorted((p.chosen, p.rejected) for p in found) == sorted(wide)
    assert [p.margin for p in found] == sorted((p.margin for p in found), reverse=True)
    better = [
        (i, j)
        for i, j in wide
        if all(a > b and a - b >= margin for a, b in zip(rows[i], rows[j], strict=True))
    ]
    found = pairs_of(totals, values, strategy="pareto", min_margin=margin)
    assert sorted((p.chosen, p.rejected) for p in found) == sorted(better)


@given(SCORES)
def test_best_worst_is_one_pair_of_the_extremes(rows: list[Any]) -> None:
    totals = [float(a + b) for a, b in rows]
    found = pairs_of(totals, [{} for _ in rows], strategy="best_worst", min_margin=0.0)
    if max(totals) == min(totals):
        assert found == []
    else:
        (pair,) = found
        assert totals[pair.chosen] == max(totals) and totals[pair.rejected] == min(totals)
        assert pair.chosen == totals.index(max(totals))  # the first of equals


def test_by_hand() -> None:
    """Totals 1, 3, 2: 3 over 1 by 2, then 3 over 2 and 2 over 1 by 1 each."""
    found = pairs_of([1.0, 3.0, 2.0], [{}, {}, {}], strategy="all", min_margin=0.0)
    assert found == [Pair(1, 0, 2.0), Pair(1, 2, 1.0), Pair(2, 0, 1.0)]
    assert pairs_of([1.0, 3.0], [{}, {}], strategy="all", min_margin=2.5) == []


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy is 'most'; choose best_worst, all, pareto"):
        pairs_of([1.0], [{}], strategy="most", min_margin=0.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_margin is -1; it must be 0 or more"):
        pairs_of([1.0], [{}], strategy="all", min_margin=-1)


def test_the_histogram_counts_every_value() -> None:
    lines = histogram([0.0, 0.05, 0.5, 1.0, 1.0])
    assert len(lines) == 10
    assert [int(line.split()[-1]) for line in lines] == [2, 0, 0, 0, 0, 1, 0, 0, 0, 2]
    assert lines[0].startswith("0.000 .. 0.100") and lines[0].count("█") == 40
    assert histogram([2.0, 2.0])[0].endswith("  2")


def test_the_card_says_what_is_in_the_data_set() -> None:
    rows = [{"prompt": "a", "margin": 1.0}, {"prompt": "b", "margin": 2.0}]
    card = card_of(rows, [{"motion": 1.0}, {"motion": 2.0}, {"motion": 4.0}], "path", "all", 0.5)
    assert "2 pairs of 2 prompts, from 3 candidates; strategy `all`, least margin 0.5." in card
    assert "## Scores of all candidates: motion" in card and "## Margins" in card
    labelled = card_of([{"prompt": "a", "label": True}], [{"motion": 1.0}], "kto", "all", 0.0)
    assert "1 completions of 1 prompts; 1 are desirable and 0 are not." in labelled

"""Severity agreement against hand-worked numbers and scipy's own definition."""

import pytest

from aigv_reward.evaluation import severity_agreement


def test_falling_scores_agree_and_rising_scores_disagree():
    ladders = [
        ("blur", [0, 1, 2], {"technical": [4.5, 3.0, 1.0], "motion": [4.0, 4.1, 4.2]}),
    ]
    result = severity_agreement(ladders)["blur"]
    assert result["technical"].spearman == pytest.approx(1.0)
    assert result["technical"].drop == pytest.approx(3.5)
    assert result["motion"].spearman == pytest.approx(-1.0)
    assert result["motion"].drop == pytest.approx(-0.2)


def test_one_swap_among_five_by_hand():
    """Ranks 1..5 against 1, 2, 4, 3, 5: rho = 1 - 6 * (1 + 1) / (5 * 24) = 0.9."""
    ladders = [("noise", [0, 1, 2, 3, 4], {"technical": [5.0, 4.0, 2.0, 3.0, 1.0]})]
    assert severity_agreement(ladders)["noise"]["technical"].spearman == pytest.approx(0.9)


def test_contents_are_averaged_and_constant_scores_count_as_none():
    ladders = [
        ("noise", [0, 1], {"technical": [4.0, 2.0]}),
        ("noise", [0, 1], {"technical": [3.0, 3.0]}),
    ]
    result = severity_agreement(ladders)["noise"]["technical"]
    assert (result.spearman, result.drop) == (pytest.approx(0.5), pytest.approx(1.0))
    assert result.contents == 2


@pytest.mark.parametrize("scores", [[4.0], [4.0, 3.0, 2.0]])
def test_scores_of_another_length_are_refused(scores):
    with pytest.raises(ValueError, match=r"noise: \d scores for severities \[0, 1\]; give one"):
        severity_agreement([("noise", [0, 1], {"technical": scores})])

"""The tables of an audit: what they say, and what they mark."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from torch import Tensor

from aigv_reward.evaluation.audit import AuditResult, AuditSettings, audit
from aigv_reward.evaluation.audit_markup import number
from aigv_reward.evaluation.audit_table import audit_tables

SETTINGS = AuditSettings(
    distortions=("noise", "jitter", "warp"), variants=1, num_frames=6, side=32, steps=1
)


def scores(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    flow = (frames[:, 1:] - frames[:, :-1]).abs().mean(dim=(1, 2, 3, 4))
    return {"technical": -flow, "motion": flow, "overall": -flow.detach(), "[/red]odd": flow}


@pytest.fixture(scope="module")
def result() -> AuditResult:
    return replace(audit(scores, num_scenes=2, settings=SETTINGS), untrained=("motion",))


def printed(result: AuditResult) -> list[list[str]]:
    page = io.StringIO()
    Console(file=page, width=200).print(audit_tables(result))
    return [line.split() for line in page.getvalue().splitlines() if line.strip()]


def row(lines: list[list[str]], *start: str) -> list[str]:
    (found,) = [line for line in lines if tuple(line[: len(start)]) == start]
    return found


def test_failures_and_untrained_scores_are_marked(result: AuditResult) -> None:
    lines = printed(result)
    noise, jitter, warp = result.distortions
    assert row(lines, "noise")[1:3] == ["technical", number(noise.falls["technical"].spearman)]
    assert row(lines, "jitter")[1:3] == ["motion*", number(jitter.falls["motion"].spearman) + "!"]
    assert row(lines, "warp")[1] == "overall" and warp.own_falls_most is None
    assert row(lines, "distortion")[-2:] == ["overall:", "spearman"]
    assert row(lines, "*")[1:] == "not trained in this checkpoint: motion".split()
    assert row(lines, "overall", "clean")[2:4] == ["no", "gradient"]
    assert row(lines, "edit")[1:] == ["technical", "motion*", "overall", "[/red]odd"]
    assert row(lines, "[/red]odd", "clean")


def test_every_check_is_counted(result: AuditResult) -> None:
    lines = printed(result)
    told = [v for v in result.verdicts if v.check == "pairs" and v.passed is not None]
    counts = ["pairs", "0.9", str(sum(v.passed is True for v in told)), "of", str(len(told))]
    assert row(lines, "clean", "clips")[-5:] == counts


def test_a_single_score_needs_no_column_of_its_own() -> None:
    def single(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4))

    lines = printed(audit(single, num_scenes=1, settings=replace(SETTINGS, steps=0)))
    assert row(lines, "distortion")[-2:] == ["falls", "most"]
    assert not [line for line in lines if line[:2] == ["pixel", "ascent:"]]
    assert row(lines, "the", "distortion's")[-1] == "\N{EN DASH}"

"""Whole evaluations against the measures they are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aigv_reward import VideoDecodeError, VideoReward
from aigv_reward.distortions import encode_mp4, render_scene
from aigv_reward.evaluation import correlation
from aigv_reward.evaluation.bootstrap import Bootstrap
from aigv_reward.evaluation.evaluate import evaluate
from aigv_reward.evaluation.pair_accuracy import accuracy_with_ties, accuracy_without_ties
from aigv_reward.evaluation.scoring import VideoScores, list_videos, score_file, score_list
from aigv_reward.training.opinions import Choice, Opinion, Preference

MAKERS = ("kling", "sora", "wan")
QUICK = Bootstrap(resamples=20)


def opinions(count: int = 30) -> tuple[list[Opinion], dict[str, dict[Any, float]]]:
    """Opinions of three generators, and scores that follow them with noise."""
    rng = np.random.default_rng(0)
    mos = {name: 3 + rng.normal(size=count) for name in ("motion", "overall")}
    listed = [
        Opinion(
            Path(f"v{i}.mp4"),
            f"prompt {i // 3}",
            {name: float(mos[name][i]) for name in ("motion", "overall")},
            MAKERS[i % 3],
        )
        for i in range(count)
    ]
    scores = {
        f"v{i}.mp4": {
            "technical": 1.0,
            "motion": float(rng.normal()),
            "overall": float(0.1 * mos["overall"][i] + 0.05 * rng.normal()),
        }
        for i in range(count)
    }
    return listed, scores


def test_every_figure_is_its_measure() -> None:
    listed, scores = opinions()
    result = evaluate(scores, listed, bootstrap=QUICK)
    assert list(result.dimensions) == ["motion", "overall"]
    for name, one in result.dimensions.items():
        x = [scores[str(opinion.path)][name] for opinion in listed]
        y = [opinion.scores[name] for opinion in listed]
        expected = {
            "srcc": correlation.srcc(x, y),
            "plcc": correlation.plcc(x, y),
            "plcc_logistic": correlation.plcc_logistic(x, y),
            "krcc": correlation.krcc(x, y),
            "rmse": correlation.rmse(x, y),
            "challenge": correlation.challenge_score(x, y),
        }
        assert {key: found.value for key, found in one.all.estimates.items()} == expected
        for found in one.all.estimates.values():
            assert found.low < found.high  # type: ignore[operator]
        assert one.all.logistic == correlation.fit_logistic(x, y)
        assert one.all.count == 30


def test_generators_are_evaluated_apart_and_against_each_other() -> None:
    listed, scores = opinions()
    result = evaluate(scores, listed, bootstrap=QUICK)["overall"]
    means = []
    for number, maker in enumerate(MAKERS):
        x = [scores[f"v{i}.mp4"]["overall"] for i in range(number, 30, 3)]
        y = [listed[i].scores["overall"] for i in range(number, 30, 3)]
        assert result.generators[maker].estimates["srcc"].value == correlation.srcc(x, y)
        assert result.generators[maker].count == 10
        means.append((np.mean(x), np.mean(y)))
    assert result.systems is not None
    assert result.systems.count == 3
    assert set(result.systems.estimates) == {"srcc", "plcc", "krcc"}
    for measure, found in result.systems.estimates.items():
        expected = getattr(correlation, measure)(*zip(*means, strict=True))
        assert found.value == pytest.approx(expected, abs=1e-12)


def test_two_generators_have_no_correlation_of_means() -> None:
    listed, scores = opinions()
    two = [one for one in listed if one.generator != "wan"]
    result = evaluate(scores, two, bootstrap=QUICK)["overall"]
    assert list(result.generators) == ["kling", "sora"]
    assert result.systems is None


def test_figures_that_are_undefined_say_why() -> None:
    listed, scores = opinions()
    for i in range(1, 30, 3):
        scores[f"v{i}.mp4"]["overall"] = 0.3  # all of sora's
    few = [one for one in listed if one.generator != "wan"] + listed[2:8:3]
    result = evaluate(scores, few, bootstrap=QUICK)["overall"]
    sora, wan = result.generators["sora"], result.generators["wan"]
    assert {one.value for one in sora.estimates.values()} == {None}
    assert {one.reason for one in sora.estimates.values()} == {"all 10 scores are equal"}
    assert {one.reason for one in wan.estimates.values()} == {"2 videos; a figure needs 5 or more"}


def test_a_logistic_that_fails_leaves_the_ranks() -> None:
    targets = [0.0, 0.0, 0.0, 0.0, 3.0]
    listed = [Opinion(Path(str(i)), None, {"overall": y}) for i, y in enumerate(targets)]
    scores = {str(i): {"overall": x} for i, x in enumerate([0.0, 0.0, 0.0, 2.0, -1.0])}
    found = evaluate(scores, listed, bootstrap=QUICK)["overall"].all  # type: ignore[arg-type]
    assert found.logistic is None
    for measure in ("plcc_logistic", "rmse"):
        assert found.estimates[measure].value is None
        assert "did not converge on 5 points" in str(found.estimates[measure].reason)
    assert found.estimates["srcc"].value == correlation.srcc([0, 0, 0, 2, -1], targets)


def preferences() -> tuple[list[Preference], dict[str, dict[Any, float]]]:
    listed, scores = opinions()
    pairs = []
    for first in range(0, 30, 3):
        for a, b in ((0, 1), (2, 0), (1, 2)):
            one, two = listed[first + a], listed[first + b]
            gap = one.scores["overall"] - two.scores["overall"]
            choice: Choice = "same" if abs(gap) < 0.4 else "A" if gap > 0 else "B"
            pairs.append(
                Preference(
                    one.path,
                    two.path,
                    one.prompt,
                    {"overall": choice},
                    one.generator,
                    two.generator,
                )
            )
    return pairs, scores


def test_pair_figures_are_their_measures() -> None:
    pairs, scores = preferences()
    result = evaluate(scores, pairs, bootstrap=QUICK)
    signs = {"A": 1, "B": -1, "same": 0}
    choices = np.array([signs[pair.choices["overall"]] for pair in pairs])
    differences = np.array(
        [scores[str(p.path_a)]["overall"] - scores[str(p.path_b)]["overall"] for p in pairs]
    )
    found = result["overall"].all
    assert found.estimates["with_ties"].value == accuracy_with_ties(choices, differences)
    assert found.estimates["without_ties"].value == accuracy_without_ties(choices, differences)
    assert (found.count, found.ties) == (30, int((choices == 0).sum()))
    sora = np.array(["sora" in (pair.generator_a, pair.generator_b) for pair in pairs])
    one = result["overall"].generators["sora"]
    assert one.count == 20
    assert one.estimates["without_ties"].value == accuracy_without_ties(
        choices[sora], differences[sora]
    )
    assert result.scored == 30


def test_pairs_are_resampled_by_prompt_where_all_have_one() -> None:
    """Ten prompts of three equal pairs: the interval is as wide as that of ten pairs."""
    pairs, scores = preferences()
    thrice = [pair for pair in pairs[::3] for _ in range(3)]
    by_prompt = evaluate(scores, thrice, bootstrap=Bootstrap(400))
    by_pair = evaluate(
        scores,
        [Preference(p.path_a, p.path_b, None, p.choices) for p in thrice],
        bootstrap=Bootstrap(400),
    )
    assert (by_prompt.unit, by_pair.unit) == ("prompts", "pairs")
    wide, narrow = (one["overall"].all.estimates["with_ties"] for one in (by_prompt, by_pair))
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)  # type: ignore[operator]


def test_pairs_nobody_decided_have_no_accuracy_without_ties() -> None:
    pairs, scores = preferences()
    same = [Preference(p.path_a, p.path_b, p.prompt, {"overall": "same"}) for p in pairs]
    found = evaluate(scores, same, bootstrap=QUICK)["overall"].all
    assert found.estimates["with_ties"].value == 1.0
    assert found.estimates["without_ties"].reason == "people called all pairs the same"
    few = evaluate(scores, same[:4], bootstrap=QUICK)["overall"].all
    assert few.estimates["with_ties"].reason == "4 pairs; a figure needs 5 or more"


@pytest.mark.parametrize("kind", ["opinions", "preferences"])
def test_failed_videos_are_left_out_and_reported(kind: str) -> None:
    records: Sequence[Any]
    records, scores = opinions() if kind == "opinions" else preferences()
    known = {Path(path): values for path, values in scores.items() if path != "v4.mp4"}
    table = VideoScores(known, {Path("v4.mp4"): "it is empty", Path("other.mp4"): "not listed"})
    result = evaluate(table, records, bootstrap=QUICK)
    assert result.failed == {Path("v4.mp4"): "it is empty"}
    assert result.scored == 29
    assert result["overall"].all.count == (29 if kind == "opinions" else 28)


def test_the_record_is_plain_json() -> None:
    listed, scores = opinions()
    for values in scores.values():
        values["motion"] = 2.0
    table = VideoScores(
        {Path(path): values for path, values in scores.items()}, untrained=("motion", "semantic")
    )
    record = json.loads(
        json.dumps(evaluate(table, listed, bootstrap=QUICK).to_dict(), allow_nan=False)
    )
    assert record["bootstrap"] == {
        "resamples": 20,
        "seed": 0,
        "confidence": 0.95,
        "unit": "videos",
    }
    assert record["untrained"] == ["motion"]
    assert record["dimensions"]["motion"]["srcc"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "all 30 scores are equal",
    }
    overall = record["dimensions"]["overall"]
    assert set(overall["logistic"]) == {"upper", "lower", "center", "width"}
    assert set(overall["generators"]) == set(MAKERS)
    assert overall["systems"]["count"] == 3
    assert -1 < overall["srcc"]["low"] < overall["srcc"]["value"] < overall["srcc"]["high"] <= 1


def test_dimensions_can_be_chosen_and_unscored_ones_are_named() -> None:
    listed, scores = opinions()
    assert list(evaluate(scores, listed, dimensions=["motion"], bootstrap=QUICK).dimensions) == [
        "motion"
    ]
    only = {path: {"overall": values["overall"]} for path, values in scores.items()}
    assert evaluate(only, listed, bootstrap=QUICK).unscored == ("motion",)


def test_what_makes_no_sense_is_refused() -> None:
    listed, scores = opinions()
    pairs, _ = preferences()
    result = evaluate(scores, listed, bootstrap=QUICK)
    with pytest.raises(ValueError, match="dimension 'semantic' was not evaluated; there are mot"):
        result["semantic"]
    with pytest.raises(ValueError, match="no records; give one or more opinions"):
        evaluate(scores, [])
    with pytest.raises(ValueError, match="opinions and preferences mixed; give one or more"):
        evaluate(scores, [*listed, *pairs])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"1 of 30 videos have no scores, the first is 'v3.mp4'"):
        evaluate({k: v for k, v in scores.items() if k != "v3.mp4"}, listed)
    with pytest.raises(ValueError, match="'technical' is not rated; rated are motion, overall"):
        evaluate(scores, listed, dimensions=["technical"])
    with pytest.raises(ValueError, match="'semantic' is not scored; rated are motion, overall"):
        evaluate(scores, listed, dimensions=["semantic"])
    plain = {path: {"technical": 1.0} for path in scores}
    with pytest.raises(ValueError, match="no dimension is both rated and scored: rated are mot"):
        evaluate(plain, listed)  # type: ignore[arg-type]


def test_a_file_stands_once_with_its_first_prompt() -> None:
    pairs = [
        Preference(Path("a"), Path("b"), "one", {"overall": "A"}),
        Preference(Path("c"), Path("a"), "two", {"overall": "B"}),
    ]
    assert list_videos(pairs) == {Path("a"): "one", Path("b"): "one", Path("c"): "two"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("videos")
    paths = [folder / f"{seed}.mp4" for seed in range(5)]
    for seed, path in enumerate(paths):
        frames = render_scene(seed, num_frames=4, height=32, width=48).frames
        encode_mp4(path, frames, 8.0)
    return paths


def brightness(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    assert frames.shape[1:] == (4, 3, 32, 48)
    assert (frames.min() >= 0, frames.max() <= 1) == (True, True)
    assert (prompts, fps) == (["x"], 8.0)
    return frames.mean(dim=(1, 2, 3, 4))


def test_any_reward_may_be_evaluated(files: list[Path]) -> None:
    listed = [
        Opinion(path, "x", {"overall": score_file(brightness, path, "x")["overall"]})
        for path in files
    ]
    result = evaluate(brightness, listed, bootstrap=Bootstrap(0))
    assert result["overall"].all.estimates["plcc"].value == pytest.approx(1.0)
    scores = score_list(brightness, {files[0]: "x"}).scores[files[0]]
    assert list(scores) == ["overall"]
    assert 0 < scores["overall"] < 1


def test_the_model_answers_for_each_file(files: list[Path]) -> None:
    reward = VideoReward.from_pretrained()
    reward.model.config.trained = ["motion"]
    listed = [Opinion(path, None, {"motion": float(i)}) for i, path in enumerate(files)]
    result = evaluate(reward, listed, dimensions=["motion"], bootstrap=Bootstrap(0))
    with torch.no_grad():
        expected = reward.score(files, dimensions=["motion"]).motion
    found = result["motion"].all.estimates["plcc"].value
    assert found == pytest.approx(correlation.plcc(expected, range(5)), abs=1e-4)
    assert result.untrained == ()
    table = score_list(reward, {files[0]: "a red ball"}, dimensions=["semantic"])
    assert table.untrained == ("semantic",)
    with torch.no_grad():
        prompted, plain = (
            float(reward.score(files[:1], prompts, dimensions=["semantic"]).semantic)
            for prompts in (["a red ball"], None)
        )
    assert table.scores[files[0]]["semantic"] == pytest.approx(prompted, abs=1e-4)
    assert prompted != pytest.approx(plain, abs=1e-3)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda frames: {"beauty": torch.ones(1)}, "answers 'beauty', which is no dimension"),
        (lambda frames: torch.ones(2), "as overall of one video; it must be one finite number"),
        (lambda frames: torch.tensor([torch.nan]), "as overall of one video; it must be one fin"),
        (lambda frames: 0.5, "the reward answers 0.5 as overall of one video; it must be one"),
    ],
)
def test_a_reward_without_a_usable_answer_is_refused(
    files: list[Path], answer: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score_file(lambda frames, prompts, *, fps=None: answer(frames), files[0], None)


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(VideoDecodeError, match=r"cannot read video nowhere\.mp4"):
        evaluate(brightness, [Opinion(Path("nowhere.mp4"), None, {"overall": 1.0})])

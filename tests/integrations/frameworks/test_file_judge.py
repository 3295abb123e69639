"""FileJudge: a failure of a file is a reason, a failure of the configuration raises."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from aigv_reward import FilterRules, VideoReward, read_video
from aigv_reward.integrations.frameworks.file_judge import FileJudge

RULES = {"minimum": {"technical": 1.5}, "missing": "reject"}


def test_scores_are_the_rewards_own(lite: VideoReward, clips: list[Path]) -> None:
    judge = FileJudge(RULES)
    expected = lite.score(clips[:1], ["a cat"]).rows()[0]
    for source in (clips[0], str(clips[0]), clips[0].read_bytes()):
        scores, error = judge.scores(source, "a cat")
        assert error == "" and scores == pytest.approx(expected, rel=1e-5)
    assert judge.dimensions == lite.trained


def test_a_reward_of_ones_own(named: str, toy: Any, clips: list[Path]) -> None:
    rules = {"minimum": {"semantic": 0.0}, "maximum": {"motion": 9e9}, "missing": "keep"}
    scores, error = FileJudge(rules, reward=named).scores(clips[0], "a cat")
    frames = read_video(clips[0]).frames[None].float() / 255
    expected = toy(frames, ["a cat"], fps=16.0)
    assert error == "" and scores.keys() == {"semantic", "motion"}
    assert scores == {name: pytest.approx(float(expected[name])) for name in scores}


@pytest.mark.parametrize("choice", ["checkpoint", "named"])
def test_failures_are_reasons(choice: str, named: str, clips: list[Path], tmp_path: Path) -> None:
    judge = FileJudge(RULES, reward=named if choice == "named" else None)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clips[0].read_bytes()[:500])
    odd = str(tmp_path / "odd\udcff.mp4")
    none = dict.fromkeys(judge.dimensions)
    for source, reason in (
        (None, "ValueError: there is no video"),
        (3, "Error"),
        (["a.mp4"], "Error"),
        (cut, "VideoDecodeError: "),
        (b"", "VideoDecodeError: "),
        (odd, "VideoDecodeError: "),
        (tmp_path / "absent.mp4", "absent.mp4"),
    ):
        scores, error = judge.scores(source)
        assert scores == none and reason in error, (source, error)
        assert error.encode()
    scores, error = judge.scores(clips[0], 3)
    assert scores == none and "ValueError: prompts has an entry 3" in error


def test_scores_that_are_not_finite_or_absent(named: str, clips: list[Path]) -> None:
    rules = {"minimum": {"reward": 0.1}, "missing": "keep"}
    scores, error = FileJudge(rules, reward="my_rewards:broken").scores(clips[0])
    assert scores == {"reward": None} and "'reward' is not finite" in error
    scores, error = FileJudge(rules, reward=named).scores(clips[0])
    assert scores == {"reward": None} and "the reward returned technical, " in error


def test_a_reward_that_cannot_be_loaded_again_is_a_reason(
    named: str, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = pickle.loads(pickle.dumps(FileJudge(RULES, reward=named)))
    monkeypatch.delitem(sys.modules, "my_rewards")
    scores, error = judge.scores(clips[0])
    assert scores == {"technical": None} and "ModuleNotFoundError" in error
    with pytest.raises(ModuleNotFoundError):
        judge.load("cpu")


def test_copies_leave_the_weights_behind(clips: list[Path]) -> None:
    judge = FileJudge(RULES | {"minimum_percentile": {"motion": 20}})
    data = pickle.dumps(judge)
    assert len(data) < 5000
    for other in (pickle.loads(data), copy.deepcopy(judge)):
        assert other.rules == judge.rules and other.rules.resolved
        assert other.scores(clips[0]) == judge.scores(clips[0])
    assert judge.load("cpu") is judge.load("cpu")


def test_no_graph_is_kept(named: str, clips: list[Path]) -> None:
    with torch.enable_grad():
        scores, _ = FileJudge(RULES, reward=named).scores(clips[0])
    assert type(scores["technical"]) is float


def test_percentiles_and_z_are_of_the_checkpoint(lite: VideoReward) -> None:
    rules = FilterRules(minimum_z={"motion": 0.0}, missing="reject")
    calibration: Any = lite.model.config.calibration
    (threshold,) = FileJudge(rules).rules.thresholds
    assert threshold.limit == pytest.approx(calibration["motion"]["mean"])


def test_calibrated(clips: list[Path]) -> None:
    scores, error = FileJudge(RULES, calibrated=True).scores(clips[0])
    expected = VideoReward.from_pretrained(calibrated=True).score(clips[:1]).rows()[0]
    assert error == "" and scores == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("rules", "options", "message"),
    [
        ({"minimum": {"motion": 1}}, {}, "missing='error', and one .*; set missing to reject or"),
        ({"missing": "reject"}, {}, "the rules have no threshold"),
        ({"least": {"motion": 1}}, {}, "unknown key 'least' in the rules"),
        (
            {"minimum": {"sharpness": 1}, "missing": "keep"},
            {},
            "the rules have 'sharpness', which is not scored; choose technical",
        ),
        (
            {"minimum_z": {"motion": 1}, "missing": "keep"},
            {"calibrated": True},
            "z-scores already; give minimum and maximum instead",
        ),
        (
            {"minimum_percentile": {"motion": 1}, "missing": "keep"},
            {"reward": "my_rewards:toy"},
            "need a checkpoint's calibration; give minimum and maximum for a reward of your own",
        ),
        (RULES, {"reward": "my_rewards:toy", "calibrated": True}, "calibrated belongs to a"),
        (RULES, {"reward": "my_rewards"}, "names no callable; write 'module:name'"),
    ],
)
def test_configurations_that_raise(named: str, rules: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FileJudge(rules, **options)


def test_a_checkpoint_that_is_not_calibrated_in_a_rules_dimension(
    lite: VideoReward, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrated = VideoReward.from_pretrained(calibrated=True)
    del calibrated.model.config.calibration["motion"]  # type: ignore[union-attr]
    monkeypatch.setattr(FileJudge, "load", lambda self, device: calibrated)
    assert FileJudge(RULES, calibrated=True).dimensions == ("technical", "semantic", "overall")
    with pytest.raises(ValueError, match="have motion, but the checkpoint is calibrated in over"):
        FileJudge({"minimum": {"motion": 0}, "missing": "keep"}, calibrated=True)

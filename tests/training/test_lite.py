"""The bundled default's training script, end to end on two ladders."""

import random
import sys
from pathlib import Path

import pytest
import torch

from aigv_reward import VideoReward
from aigv_reward.regressor import LEVEL_WORDS
from aigv_reward.training import lite
from aigv_reward.training.ladders import HELD_OUT, LadderInfo, write_ladder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ladders")
    for number in (1, 2, HELD_OUT):
        write_ladder(path, lite.SAMPLING, number)
    return path


def test_training_writes_a_checkpoint_that_scores(folder, tmp_path, monkeypatch, capsys):
    arguments = ["lite", str(folder), str(tmp_path), "--steps", "2", "--batch", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--report-every", "1"])
    lite.main()
    assert "distortion" in capsys.readouterr().out
    reward = VideoReward.from_pretrained(tmp_path, calibrated=True)
    assert reward.trained == reward.dimensions
    video = torch.randint(0, 256, (5, 3, 64, 96), dtype=torch.uint8)
    scores = reward.score([video], prompts=["a red disc on grass"])
    assert torch.isfinite(scores.semantic).all()
    assert "held out" in reward.model.config.calibration_set


def test_training_is_repeatable(folder, tmp_path, monkeypatch):
    states = []
    for name in ("one", "two"):
        out = tmp_path / name
        arguments = ["lite", str(folder), str(out), "--steps", "1", "--batch", "1"]
        monkeypatch.setattr(sys, "argv", arguments)
        lite.main()
        states.append(VideoReward.from_pretrained(out).model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_no_ladders_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="holds 0 ladders, a batch needs 2"):
        next(lite.batches(tmp_path, 2, order=random.Random(0)))


def test_every_level_word_is_one_token():
    tokenizer = lite.lite_tokenizer(["a red disc moving left"])
    ids = [tokenizer.encode(word, add_special_tokens=False) for word in LEVEL_WORDS]
    assert [len(word) for word in ids] == [1] * 5


def test_texts_are_absent_right_or_wrong_in_the_drawn_shares():
    infos = [LadderInfo(i, "blur", None, 0, f"caption {i}") for i in range(3)]
    choice = random.Random(0)
    drawn = [pair for _ in range(2000) for pair in zip(*lite.text_for(infos, choice), strict=True)]
    absent = sum(text is None for text, _ in drawn) / len(drawn)
    wrong = sum(bad for _, bad in drawn) / len(drawn)
    assert absent == pytest.approx(0.45, abs=0.03)
    assert wrong == pytest.approx(0.25, abs=0.03)

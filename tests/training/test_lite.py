"""The bundled default's training script, end to end on two ladders."""

import random
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aigv_reward import DIMENSIONS, VideoReward
from aigv_reward.regressor import LEVEL_WORDS
from aigv_reward.reward.golden import check_golden
from aigv_reward.training import features, lite
from aigv_reward.training.ladders import HELD_OUT, LadderInfo, read_ladder, write_ladder
from aigv_reward.training.warm_up import build_encoder

NUMBERS = [58, 63, HELD_OUT + 12]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short ladders and a held-out one, encoders as they start, their cached features."""
    path = tmp_path_factory.mktemp("ladders")
    encoders = path / "encoders"
    encoders.mkdir()
    for number in NUMBERS:
        write_ladder(path, lite.SAMPLING, number)
    torch.manual_seed(0)
    for name in ("technical", "motion", "semantic"):
        weights = {key: v.contiguous() for key, v in build_encoder(name).state_dict().items()}
        save_file(weights, encoders / f"{name}.safetensors")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["features", str(path), name, str(encoders)])
            features.main()
    return path


def test_training_writes_a_checkpoint_that_scores(folder, tmp_path, monkeypatch, capsys):
    arguments = [
        "lite",
        str(folder),
        str(folder / "encoders"),
        str(tmp_path),
        "--steps",
        "2",
        "--batch",
        "1",
    ]
    monkeypatch.setattr(sys, "argv", [*arguments, "--report-every", "1"])
    lite.main()
    assert "distortion" in capsys.readouterr().out
    reward = VideoReward.from_pretrained(tmp_path, calibrated=True)
    assert reward.trained == DIMENSIONS
    check_golden(reward, tmp_path)
    video = torch.randint(0, 256, (5, 3, 64, 96), dtype=torch.uint8)
    scores = reward.score([video], prompts=["a red disc on grass"])
    assert torch.isfinite(scores.semantic).all()
    assert "held out" in reward.model.config.calibration_set


def test_training_is_repeatable(folder, tmp_path, monkeypatch):
    states = []
    for name in ("one", "two"):
        out = tmp_path / name
        arguments = [
            "lite",
            str(folder),
            str(folder / "encoders"),
            str(out),
            "--steps",
            "1",
            "--batch",
            "1",
        ]
        monkeypatch.setattr(sys, "argv", arguments)
        lite.main()
        states.append(VideoReward.from_pretrained(out).model.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_answers_from_cached_features_are_those_from_views(folder):
    train, held_out = lite.load_ladders(folder, folder / "encoders")
    assert [ladder.info.number for ladder in train + held_out] == NUMBERS
    model = lite.AIGVRewardModel(lite.lite_config(lite.lite_tokenizer(["a disc"]))).eval()
    for name in ("technical", "motion", "semantic"):
        weights = load_file(folder / "encoders" / f"{name}.safetensors")
        getattr(model, name).load_state_dict(weights)
    _, views = read_ladder(folder / f"{NUMBERS[0]:08d}.safetensors", lite.SAMPLING)
    with torch.no_grad():
        expected = model(views.key_frames, views.fragments, views.fast).scores
        cached = lite.answer(model, train[:1], None).scores
    torch.testing.assert_close(cached, expected, rtol=0, atol=1e-5)


def test_projections_start_by_standardising_features(folder):
    train, _ = lite.load_ladders(folder, folder / "encoders")
    model = lite.AIGVRewardModel(lite.lite_config(lite.lite_tokenizer(["a disc"])))
    lite.start_from_standardised(model, train)
    features = torch.cat([ladder.technical for ladder in train])
    projected = model.technical_projection(features)
    assert projected.mean(dim=0).abs().max() < 1e-3


def test_a_ladder_without_features_is_an_error(folder, tmp_path):
    write_ladder(tmp_path, lite.SAMPLING, 3)
    with pytest.raises(ValueError, match="ladder 3 has no cached features; run"):
        lite.load_ladders(tmp_path, folder / "encoders")


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

"""First filters, loss and script of the encoders' warm-up."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from aigv_reward.training import lite, warm_up
from aigv_reward.training.ladders import write_ladder


def test_cosine_filters_are_orthogonal_and_only_the_first_sees_brightness():
    filters = warm_up.cosine_filters((2, 4, 4))
    assert filters.shape == (32, 3, 2, 4, 4)
    luma = filters.flatten(2).norm(dim=1) * filters.flatten(2).sum(dim=1).sign()
    response = luma @ torch.ones(32)
    assert response[0].item() == pytest.approx(0.3 * 32**0.5, rel=1e-4)
    assert response[1:].abs().max() < 1e-5


def test_an_untrained_swin_tells_noise_and_blur_from_clean_by_its_band_energies():
    torch.manual_seed(0)
    swin = warm_up.build_encoder("technical").eval()
    smooth = torch.nn.functional.avg_pool2d(torch.randn(12, 68, 68), 5, stride=1)
    clean = smooth.reshape(1, 4, 3, 64, 64).expand(6, -1, -1, -1, -1)
    noise = torch.randn(6, 4, 3, 64, 64) * torch.arange(6).view(6, 1, 1, 1, 1) * 0.2
    with torch.no_grad():
        features = swin(clean + noise)
    moved = (features - features[0]).norm(dim=1)
    assert (moved.diff() > 0).all()
    assert moved[5] > 0.5


def test_motion_filters_that_compare_frames_are_silent_on_a_still():
    filters = warm_up.motion_filters()
    assert filters.shape == (8, 3, 5, 7, 7)
    still = torch.rand(1, 3, 1, 7, 7).expand(-1, -1, 5, -1, -1)
    response = torch.einsum("nctyx,bctyx->n", filters, still)
    assert response[:3].abs().max() > 0.01
    assert response[3:].abs().max() < 1e-6


def test_loss_by_hand():
    """Scores 1, 1, 1, 1, 1 against 2, 1.5, 1, 0.5, 0.

    Level: Huber of (1, .5, 0, .5, 1) = (.5 + .125 + 0 + .125 + .5) / 5 = 0.25; the same within
    the ladder, three times: 0.25 + 0.75 = 1.
    """
    loss = warm_up.warm_up_loss(torch.ones(5), torch.tensor([2.0, 1.5, 1.0, 0.5, 0.0]), 5)
    assert loss.item() == pytest.approx(1.0)


def test_differences_count_within_each_ladder_only():
    """Ladders (1, 1) and (3, 3) against (0, 0) and (2, 2): level 0.5, no differences."""
    loss = warm_up.warm_up_loss(
        torch.tensor([1.0, 1.0, 3.0, 3.0]), torch.tensor([0.0, 0.0, 2.0, 2.0]), 2
    )
    assert loss.item() == pytest.approx(0.5)


def test_script_writes_weights_that_fit_the_default(tmp_path, monkeypatch):
    ladders = tmp_path / "ladders"
    ladders.mkdir()
    for number in (58, 63):  # short and small; the first degrades the picture, the other motion
        write_ladder(ladders, lite.SAMPLING, number)
    out = tmp_path / "weights.safetensors"
    arguments = ["warm_up", str(ladders), str(out), "--steps", "1", "--batch", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    warm_up.main()
    torch.manual_seed(1)
    encoder = warm_up.build_encoder("technical")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder.load_state_dict(load_file(out))
    assert any(not torch.equal(before[key], value) for key, value in encoder.state_dict().items())


def test_crops_keep_patches_whole():
    torch.manual_seed(0)
    side = torch.arange(160).expand(2, 4, 3, 160, 160)
    seen = set()
    for _ in range(30):
        part = warm_up.crop(side)
        assert part.shape == (2, 4, 3, 96, 96)
        seen.add(int(part[0, 0, 0, 0, 0]))
    assert seen == {0, 32, 64}


def test_lite_reads_what_the_warm_up_wrote(tmp_path: Path):
    model = lite.AIGVRewardModel(lite.lite_config(lite.lite_tokenizer(["a disc"])))
    for name in ("technical", "motion", "semantic"):
        encoder = warm_up.build_encoder(name)  # type: ignore[arg-type]
        getattr(model, name).load_state_dict(encoder.state_dict())

"""The pool, ladders made afresh from it, and the warm-up that reads them."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from aigv_reward.distortions import DISTORTIONS
from aigv_reward.training import fresh, fresh_warm_up, lite, pool
from aigv_reward.training.warm_up import build_encoder
from aigv_reward.video.indices import FrameSampling

SAMPLING = replace(
    lite.SAMPLING, key_size=48, fast=FrameSampling(12, bursts=2, stride=1), fast_size=40
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip as the pool writes it, and its mirror images under other names."""
    folder = tmp_path_factory.mktemp("pool")
    first = pool.write_clip(folder, 0)
    frames = load_file(first)["frames"]
    for number, caption in enumerate(("a red disc", "a blue box", "a red box"), start=1):
        changed = frames.flip(-1) if number % 2 else frames.flip(-2)
        save_file(
            {"frames": changed.contiguous()},
            folder / f"{number:06d}.safetensors",
            metadata={"caption": caption},
        )
    return folder


def ladders(clips: Path, encoder: fresh.Encoder, count: int, seed: int = 0):
    data = fresh.FreshLadders(sorted(clips.iterdir()), SAMPLING, encoder, length=count, seed=seed)
    assert len(data) == count
    return [data[index] for index in range(count)]


def test_the_pool_holds_squares_with_captions(clips: Path):
    path = clips / "000000.safetensors"
    frames = load_file(path)["frames"]
    assert frames.shape == (pool.NUM_FRAMES, 3, pool.SIDE, pool.SIDE)
    assert frames.dtype == torch.uint8
    with safe_open(path, "pt") as file:
        assert file.metadata()["caption"]
    before = path.stat().st_mtime_ns
    assert pool.write_clip(clips, 0).stat().st_mtime_ns == before


def test_a_fresh_ladder_follows_from_its_seed_and_number(clips: Path):
    first, again = ladders(clips, "motion", 2), ladders(clips, "motion", 2)
    other = ladders(clips, "motion", 2, seed=1)
    for one, two in zip(first, again, strict=True):
        assert one.info == two.info
        assert torch.equal(one.view, two.view)
    assert not torch.equal(first[0].view, first[1].view)
    assert not torch.equal(first[0].view, other[0].view)


@pytest.mark.parametrize(
    ("encoder", "frames"), [("motion", (12, 3, 40, 40)), ("semantic", (8, 3, 48, 48))]
)
def test_fresh_ladders_have_the_views_of_the_sampling(
    clips: Path, encoder: fresh.Encoder, frames: tuple[int, ...]
):
    for ladder in ladders(clips, encoder, 3):
        assert ladder.view.shape == (fresh.RUNGS, *frames)
        assert ladder.view.dtype == torch.uint8
        severities = ladder.info.severities
        assert len(severities) == fresh.RUNGS and list(severities) == sorted(set(severities))


def test_most_fresh_ladders_degrade_what_is_learned(clips: Path):
    made = ladders(clips, "motion", 30)
    own = [DISTORTIONS[ladder.info.distortion].dimension != "technical" for ladder in made]
    assert 0.6 < sum(own) / len(own) < 1


def test_words_that_all_or_hardly_any_captions_have_are_left_out(clips: Path, tmp_path: Path):
    for number in range(100):
        words = "a disc" if number % 2 else "a box"
        caption = words + (" seldom" if number == 0 else "")
        save_file(
            {"frames": torch.zeros(1, dtype=torch.uint8)},
            tmp_path / f"{number}.safetensors",
            metadata={"caption": caption},
        )
    assert fresh_warm_up.caption_words(sorted(tmp_path.iterdir())) == ["box", "disc"]


def test_the_read_out_sees_level_spread_and_change():
    torch.manual_seed(0)
    head = fresh_warm_up.ReadOut(4, scores=2, words=3).eval()
    tokens = torch.randn(5, 6, 4)
    scores, words = head(tokens)
    assert scores.shape == (5, 2) and words is not None and words.shape == (5, 3)
    shuffled = tokens[:, [3, 0, 4, 1, 5, 2]]
    assert not torch.allclose(head(shuffled)[0], scores, atol=1e-4)  # the order of change counts
    torch.testing.assert_close(head(shuffled)[1], words)


@pytest.mark.parametrize("name", ["motion", "semantic"])
def test_script_writes_weights_that_fit_the_default(clips: Path, tmp_path: Path, monkeypatch, name):
    monkeypatch.setattr(fresh_warm_up, "HELD_OUT_CLIPS", 1)
    monkeypatch.setattr(fresh_warm_up, "HELD_OUT_LADDERS", 2)
    arguments = ["fresh_warm_up", str(clips), name, str(tmp_path), "--steps", "1", "--batch", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--workers", "0"])
    fresh_warm_up.main()
    torch.manual_seed(0)
    encoder = build_encoder(name)  # as the script's began
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    encoder.load_state_dict(load_file(tmp_path / f"{name}.safetensors"))
    learned = dict(encoder.named_parameters())
    moved = [float((learned[key] - before[key]).detach().abs().max()) for key in learned]
    assert 0 < max(moved) < 0.01  # one step of the warm-up


def test_a_pool_that_is_too_small_is_refused(clips: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["fresh_warm_up", str(clips), "motion", str(tmp_path), "--steps", "1"]
    )
    with pytest.raises(SystemExit):
        fresh_warm_up.main()
    assert "holds 4 clips, above 100 are needed" in capsys.readouterr().err

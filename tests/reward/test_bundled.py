"""The checkpoint that travels with the package, on the repository's own clips."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from aigv_reward import DIMENSIONS, Scores, VideoReward, read_video
from aigv_reward.distortions import DISTORTIONS
from aigv_reward.reward.checkpoint import BUNDLED
from aigv_reward.reward.golden import check_golden

EXAMPLES = Path(__file__).parents[2] / "examples" / "clips"
MEGABYTES = 20


@pytest.fixture(scope="module")
def lite() -> VideoReward:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("the bundled checkpoint reached for the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        return VideoReward.from_pretrained()


@pytest.fixture(scope="module")
def examples(lite: VideoReward) -> tuple[list[str], Scores]:
    """Names and scores of examples/clips: SCENE_clean.mp4 and copies SCENE_DISTORTION.mp4."""
    paths = sorted(EXAMPLES.glob("*.mp4"))
    with torch.no_grad():
        return [path.stem for path in paths], lite.score(paths)


def copies(names: list[str]) -> list[tuple[int, int, str]]:
    """(index of a degraded clip, index of its clean one, the distortion)."""
    found = []
    for index, name in enumerate(names):
        scene, _, distortion = name.partition("_")
        if distortion != "clean":
            assert distortion in DISTORTIONS
            found.append((index, names.index(f"{scene}_clean"), distortion))
    return found


def test_the_default_answers_everything_it_was_trained_for(lite: VideoReward) -> None:
    assert lite.dimensions == DIMENSIONS
    assert lite.trained == DIMENSIONS
    assert not lite.model.training
    assert lite.weights == {"overall": 1.0}
    assert lite.model.config.score_version.startswith("lite-")


def test_the_default_is_small_and_complete() -> None:
    files = {path.name: path.stat().st_size for path in (BUNDLED / "lite").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files.keys()
    assert sum(files.values()) < MEGABYTES * 10**6
    config = json.loads((BUNDLED / "lite" / "config.json").read_text())
    assert not any("/root" in str(value) for value in config.values())


def test_the_default_gives_its_golden_scores(lite: VideoReward) -> None:
    check_golden(lite, BUNDLED / "lite")


def test_the_default_is_calibrated(lite: VideoReward) -> None:
    config = lite.model.config
    assert config.calibration is not None and config.calibration_set
    assert set(config.calibration) == set(DIMENSIONS)
    for entry in config.calibration.values():
        assert 1 <= entry["mean"] <= 5 and entry["std"] > 0
        assert entry["percentiles"] == sorted(entry["percentiles"])
    reward = VideoReward(lite.model, weights=dict.fromkeys(DIMENSIONS, 1.0), calibrated=True)
    frames = torch.rand(1, 9, 3, 64, 64)
    scores = reward.score(frames, fps=16)
    for name in DIMENSIONS:
        entry = config.calibration[name]
        expected = (lite.score(frames, fps=16)[name] - entry["mean"]) / entry["std"]
        torch.testing.assert_close(scores[name], expected, rtol=0, atol=1e-4)


def test_the_default_reads_prompts(lite: VideoReward) -> None:
    frames = torch.rand(2, 9, 3, 64, 64)
    plain = lite.score(frames, fps=16)
    prompted = lite.score(frames, ["a red ball rolls over the grass", None], fps=16)
    torch.testing.assert_close(prompted.motion, plain.motion, rtol=0, atol=1e-5)
    assert (prompted.semantic - plain.semantic).abs()[0] > 1e-5


def test_the_default_is_a_function_of_the_video(lite: VideoReward) -> None:
    clips = [torch.rand(9, 3, 64, 64), torch.rand(30, 3, 90, 120), torch.rand(1, 3, 20, 20)]
    together = lite.score(clips, fps=16)
    for index, frames in enumerate(clips):
        for name, value in lite.score([frames], fps=16).values.items():
            torch.testing.assert_close(together[name][index], value[0], rtol=0, atol=1e-5)


def test_the_examples_hold_clean_clips_and_degraded_copies(
    examples: tuple[list[str], Scores],
) -> None:
    names, scores = examples
    found = copies(names)
    assert 3 <= len(found) < len(names) == len(scores)
    dimensions = {DISTORTIONS[distortion].dimension for _, _, distortion in found}
    assert dimensions >= {"technical", "motion"}


def test_degraded_copies_score_below_their_clean_clips(
    examples: tuple[list[str], Scores],
) -> None:
    names, scores = examples
    for index, clean, distortion in copies(names):
        dimension = DISTORTIONS[distortion].dimension
        if dimension not in scores.trained:
            continue
        column = scores[dimension]  # type: ignore[index]
        assert column[index] < column[clean], f"{names[index]} in {dimension}"
        assert scores.overall[index] < scores.overall[clean], f"{names[index]} overall"


def test_windows_of_the_default_find_a_degraded_second_half(
    lite: VideoReward, examples: tuple[list[str], Scores]
) -> None:
    names, scores = examples
    clean = max(range(len(names)), key=lambda index: float(scores.technical[index]))
    video = read_video(EXAMPLES / f"{names[clean]}.mp4")
    frames = video.frames.clone()
    half = len(frames) // 2
    noise = torch.randn(frames[half:].shape, generator=torch.Generator().manual_seed(0))
    frames[half:] = (frames[half:] + 40 * noise).clamp(0, 255).to(torch.uint8)
    windows = lite.score([frames], fps=video.fps, clips=2).windows
    assert windows is not None
    assert windows["technical"][0, 1] < windows["technical"][0, 0] - 0.3

"""The plain reference is the published model: it reproduces what that implementation recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from aigv_reward import VideoReward
from aigv_reward.distortions import encode_mp4, render_scene
from aigv_reward.model.conversion import convert_aigveval

REFERENCE = Path(__file__).parents[1] / "reference"
CHECKPOINT = REFERENCE / "aigveval_small.pth"
CONFIG = REFERENCE / "aigveval_small.json"


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return load_file(REFERENCE / "aigveval_small_expected.safetensors")


@pytest.fixture
def published(scripts: Path) -> nn.Module:
    from published_reference import PublishedModel

    small = {"slow_stem": 8, "slow_inner": [8, 16, 32, 64], **json.loads(CONFIG.read_text())}
    model = PublishedModel(small)
    state = torch.load(CHECKPOINT, weights_only=True)["state_dict"]
    model.load_state_dict(state, strict=True)  # also every weight that never reaches the score
    return model.float().eval()


def wave(frames: int, phase: float) -> Tensor:
    shape = (2, 3, frames, 224, 224)
    index = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return (torch.sin(index * 0.7310 + phase) * 1.5).reshape(shape).float()


def clip(frames: int, phase: int) -> Tensor:
    i = torch.arange(frames * 224 * 224 * 3, dtype=torch.float64)
    values = (torch.sin(i * 0.0137 + phase) + torch.sin(i * 0.00071 * (phase + 2))) * 60 + 128
    return values.reshape(frames, 224, 224, 3).clamp(0, 255).to(torch.uint8)


@torch.no_grad()
def test_recorded_views(published: nn.Module, expected: dict[str, Tensor]) -> None:
    views = (wave(8, 0.1), wave(8, 0.2), wave(8, 0.3), wave(32, 0.4))
    names = ("semantic_tokens", "motion_tokens", "technical_tokens")
    for name, actual in zip(names, published.tokens(*views), strict=True):
        recorded = expected[f"views.{name}"]
        atol = 1e-5 * max(1.0, recorded.abs().max().item())
        torch.testing.assert_close(actual, recorded, rtol=0, atol=atol)
    logits, scores = published(*views)
    torch.testing.assert_close(logits, expected["views.level_logits"], rtol=0, atol=1e-3)
    torch.testing.assert_close(scores, expected["views.score"], rtol=0, atol=1e-5)


@torch.no_grad()
def test_recorded_raw_frames(published: nn.Module, expected: dict[str, Tensor]) -> None:
    from published_views import views

    found = []
    for number, frames in enumerate((clip(40, 0), clip(23, 1), clip(5, 2))):

        def opened(frames: Tensor = frames) -> tuple[int, object]:
            return len(frames), lambda indices: frames[indices].permute(3, 0, 1, 2)

        found.append(published(*views(opened))[1])
        assert len(found) == number + 1
    torch.testing.assert_close(torch.cat(found), expected["raw.score"], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_file_gets_the_same_score_from_both(published: nn.Module, tmp_path: Path) -> None:
    from published_views import read

    path = tmp_path / "clip.mp4"
    scene = render_scene(3, num_frames=36, height=240, width=256)
    encode_mp4(path, scene.frames, 16.0, codec="mpeg4")  # no B-frames: decord seeks right
    ours = VideoReward(convert_aigveval(CHECKPOINT, tmp_path / "converted", config=CONFIG))
    theirs = published(*read(path))[1]
    torch.testing.assert_close(ours.score([path]).overall, theirs, rtol=0, atol=1e-5)

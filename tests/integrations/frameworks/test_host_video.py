"""What a host hands over: one form each, and everything else refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts


@pytest.mark.parametrize("layout", ["btchw", "bcthw", "bthwc", "tchw", "thwc", "bchw", "bhwc"])
def test_every_layout_names_the_same_pixels(layout: str) -> None:
    video = torch.rand(4, 5, 3, 6, 7)
    video = video[:1] if "b" not in layout else video
    video = video[:, :1] if "t" not in layout else video
    kept = [axis for axis, letter in enumerate("btchw") if letter in layout]
    host = video.reshape([video.shape[axis] for axis in kept])
    letters = [letter for letter in "btchw" if letter in layout]
    host = host.permute([letters.index(letter) for letter in layout])
    assert torch.equal(as_frames(host, layout), video)


def test_bytes_become_fractions_of_255() -> None:
    frames = as_frames(
        torch.tensor([0, 51, 255] * 4).byte().reshape(1, 3, 2, 2), "tchw", kind="uint8"
    )
    assert frames.flatten()[:3].tolist() == [0.0, pytest.approx(0.2), 1.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_half_precision_is_widened_in_the_graph(dtype: torch.dtype) -> None:
    video = torch.rand(1, 2, 3, 4, 4).to(dtype).requires_grad_()
    frames = as_frames(video, "btchw")
    assert frames.dtype == torch.promote_types(dtype, torch.float32)
    frames.sum().backward()
    assert torch.equal(video.grad, torch.ones_like(video))


def test_an_overshoot_is_clamped_and_keeps_its_gradient() -> None:
    video = torch.tensor([-1.2, -1.0, 0.0, 1.0, 1.1, 0.5]).repeat(2).reshape(1, 1, 3, 2, 2)
    video.requires_grad_()
    frames = as_frames(video, "btchw", value_range=(-1, 1))
    assert frames.flatten()[:6].tolist() == pytest.approx([0, 0, 0.5, 1, 1, 0.75])
    frames.sum().backward()
    assert torch.equal(video.grad, torch.full_like(video, 0.5))


video = torch.rand(2, 4, 3, 6, 6)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (video.numpy(), "float", r"the video is a ndarray; expected a tensor, 'btchw'"),
        (video[0], "float", r"shape \(4, 3, 6, 6\); expected layout 'btchw' with 3 channels"),
        (video.transpose(1, 2), "float", r"shape \(2, 3, 4, 6, 6\); expected layout 'btchw'"),
        (video[:, :0], "float", r"shape \(2, 0, 3, 6, 6\); .* at least one frame"),
        (video.byte(), "float", r"the video is torch.uint8; expected float in \[0.0, 1.0\]"),
        (video, "uint8", r"the video is torch.float32; expected uint8"),
        (video.int(), "float", r"the video is torch.int32; expected float"),
        (video.int(), "uint8", r"the video is torch.int32; expected uint8"),
        (video * 255, "float", r"spans .*; expected finite values in 0..1"),
        (video * 4 - 2, "float", r"spans -.*; expected finite values in 0..1"),
        (video / 0, "float", r"spans inf..inf; expected finite"),
        (video * torch.nan, "float", r"spans nan..nan; expected finite"),
    ],
)
def test_what_a_host_does_not_pass(given: Any, kind: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_frames(given, "btchw", kind=kind)


def test_prompts() -> None:
    assert checked_prompts(("a", None), 2) == ["a", None]
    with pytest.raises(ValueError, match="prompts is 'ab' for 2 videos"):
        checked_prompts("ab", 2)
    with pytest.raises(ValueError, match="prompts is None for 2 videos"):
        checked_prompts(None, 2)
    with pytest.raises(ValueError, match="prompts is 1 entries for 2 videos"):
        checked_prompts(["a"], 2)
    with pytest.raises(ValueError, match=r"prompts has an entry \{'text': 'a'\}"):
        checked_prompts([{"text": "a"}], 1)


@pytest.mark.parametrize("fps", [16, 23.976, np.float64(8)])
def test_fps(fps: Any) -> None:
    assert checked_fps(fps) == float(fps)


@pytest.mark.parametrize("fps", [None, 0, -1, float("inf"), float("nan"), "16", True])
def test_no_fps(fps: Any) -> None:
    with pytest.raises(ValueError, match=f"fps is {fps!r}; give the positive frames per second"):
        checked_fps(fps)

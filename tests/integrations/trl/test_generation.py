"""What a generator may return, and which columns it is called with."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from aigv_reward.integrations.trl.generation import (
    Request,
    checked_videos,
    generate,
    generator_columns,
)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("form", [list, tuple, torch.stack])
def test_videos_come_back_in_float32_or_wider(dtype: torch.dtype, form: Any) -> None:
    given = [torch.full((2, 3, 4, 6), value, dtype=dtype) for value in (0.25, 0.75)]
    videos = checked_videos(form(given), 2)
    wider = torch.float64 if dtype == torch.float64 else torch.float32
    for video, value in zip(videos, (0.25, 0.75), strict=True):
        torch.testing.assert_close(video, torch.full((2, 3, 4, 6), value, dtype=wider))


def test_videos_of_a_list_may_differ_in_length() -> None:
    given = [torch.zeros(2, 3, 4, 4), torch.zeros(5, 3, 4, 4)]
    assert [len(video) for video in checked_videos(given, 2)] == [2, 5]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (torch.zeros(2, 3, 4, 4), r"returned a tensor \(2, 3, 4, 4\); return \(B, T, 3, H, W\)"),
        (torch.zeros(3, 2, 3, 4, 4), "returned 3 videos for 2 prompts"),
        ([torch.zeros(2, 3, 4, 4)], "returned 1 videos for 2 prompts"),
        (None, "returned NoneType for 2 prompts"),
        (torch.zeros(2, 3, 5, 4, 4), r"returned a video \(3, 5, 4, 4\); return \(T, 3, H, W\)"),
        ([torch.zeros(2, 3, 4, 4), "b.mp4"], r"returned a video str; return \(T, 3, H, W\)"),
        ([torch.zeros(3, 4, 4)] * 2, r"returned a video \(3, 4, 4\); return"),
        (
            torch.zeros(2, 2, 3, 4, 4, dtype=torch.uint8),
            r"returned torch.uint8; return floats in \[0, 1\]",
        ),
    ],
)
def test_what_a_generator_may_not_return(returned: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_videos(returned, 2)


def test_an_interrupted_pipeline_has_no_video(
    tiny: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tiny("wan").pipe
    interrupted = SimpleNamespace(frames=None)
    monkeypatch.setattr(type(pipe), "__call__", lambda self, **arguments: interrupted)
    with pytest.raises(ValueError, match="the pipeline was interrupted, so that there is no"):
        generate(pipe, [Request("a", 0, "a")], {})


def test_the_columns_of_a_generator(tiny: Callable[[str], Any]) -> None:
    def named(prompts: Any, *, seeds: Any, image: Any, steps: int = 3) -> None: ...

    def any_at_all(prompts: Any, *, seeds: Any, **columns: Any) -> None: ...

    class Called:
        def __call__(self, prompts: Any, *, seeds: Any, style: str) -> None: ...

    assert generator_columns(named) == {"image", "steps"}
    assert generator_columns(Called()) == {"style"}
    assert generator_columns(any_at_all) is None
    wan = generator_columns(tiny("wan").pipe)
    assert wan is not None and {"negative_prompt", "height", "num_inference_steps"} <= wan
    assert wan.isdisjoint({"prompt", "generator", "latents", "output_type", "seed", "self"})

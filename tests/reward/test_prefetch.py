"""Files are read ahead, a few at a time, in another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aigv_reward import VideoDecodeError, VideoReward
from aigv_reward.reward.prefetch import prepared_views
from aigv_reward.views import Views


def views(index: int) -> Views:
    return Views(*(torch.full((1, 1), float(index)) for _ in range(3)))


def drained(iterator: Iterator[Views]) -> list[int]:
    return [int(one.fast) for one in iterator]


@pytest.mark.parametrize("ahead", [1, 2, 9])
def test_views_come_in_the_order_of_the_videos(ahead: int) -> None:
    videos = ["a", torch.ones(1), "b", "c", torch.ones(1), "d"]
    assert drained(prepared_views(views, videos, ahead=ahead)) == list(range(6))


def test_memory_is_prepared_in_the_caller_s_thread_and_files_in_one_other() -> None:
    threads: dict[int, threading.Thread] = {}

    def prepare(index: int) -> Views:
        threads[index] = threading.current_thread()
        return views(index)

    drained(prepared_views(prepare, ["a", torch.ones(1), "b", "c"], ahead=2))
    assert threads[1] is threading.current_thread()
    assert threads[0] is threads[2] is threads[3] is not threading.current_thread()
    assert not threads[0].is_alive()


@pytest.mark.parametrize("ahead", [1, 3])
def test_reading_ahead_is_bounded_and_overlaps_the_caller(ahead: int) -> None:
    begun: list[int] = []
    reached = threading.Event()

    def prepare(index: int) -> Views:
        begun.append(index)
        if len(begun) == ahead + 1:
            reached.set()
        return views(index)

    prepared = prepared_views(prepare, ["file"] * 10, ahead=ahead)
    next(prepared)
    assert reached.wait(10)  # while the caller holds the first
    time.sleep(0.05)
    assert begun == list(range(ahead + 1))
    prepared.close()
    assert len(begun) <= ahead + 1


def test_an_error_comes_when_its_video_is_due_and_keeps_its_type() -> None:
    def prepare(index: int) -> Views:
        if index == 2:
            raise VideoDecodeError("c.mp4", "it is torn")
        return views(index)

    prepared = prepared_views(prepare, list("abcd"), ahead=4)
    assert [int(next(prepared).fast), int(next(prepared).fast)] == [0, 1]
    with pytest.raises(VideoDecodeError, match=r"c\.mp4: it is torn") as caught:
        next(prepared)
    assert caught.value.path == "c.mp4" and caught.value.__notes__ == ["raised by videos[2]"]


def test_no_thread_outlives_a_call_that_fails(
    reward: VideoReward, clip: Callable[..., Tensor], write: Callable[..., Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "clip.mp4", clip())
    with pytest.raises(ValueError, match="max_prompt_tokens=24"):
        reward.score([path] * 6, ["long " * 99] * 6, batch_size=1)
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith("aigv-reward-decode")]

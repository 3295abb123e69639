"""The views of many videos in order, the next files decoded while the caller works."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from torch import Tensor

from aigv_reward.reward.inputs import VideoInput, is_source
from aigv_reward.views import Views


def prepared_views(
    prepare: Callable[[int], Views], videos: Sequence[VideoInput] | Tensor, *, ahead: int
) -> Generator[Views, None, None]:
    """`prepare(index)` for each video, in order.

    Files are prepared in one thread, up to `ahead` of them before they are asked for, so that at
    most one decoded file is held, and `ahead` files' views. What is in memory is prepared when it
    is asked for, in the caller's thread, whose grad mode it may need.

    Args:
        prepare: views of the video at an index; its errors come out here, unchanged but for a
            note that names the index.
        videos: tells files from the rest.
        ahead: at least 1.
    """
    files = (index for index, video in enumerate(videos) if is_source(video))
    pending: dict[int, Future[Views]] = {}
    pool = ThreadPoolExecutor(1, thread_name_prefix="aigv-reward-decode")
    try:
        for index in range(len(videos)):
            for file in islice(files, ahead + 1 - len(pending)):
                pending[file] = pool.submit(prepare, file)
            try:
                yield pending.pop(index).result() if index in pending else prepare(index)
            except ValueError as error:
                error.add_note(f"raised by videos[{index}]")
                raise
    finally:
        pool.shutdown(cancel_futures=True)

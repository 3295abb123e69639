"""Readers in threads and processes, and what they leave behind."""

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from aigv_reward.video import Video, VideoDecodeError, read_video

NAMES = ["h264", "vp9", "hevc", "gif", "edit_list"]


def test_threads(clips: dict[str, Path]) -> None:
    expected = {name: read_video(clips[name]).frames for name in NAMES}
    with ThreadPoolExecutor(4) as pool:
        jobs = [(name, pool.submit(read_video, clips[name])) for name in NAMES * 6]
        for name, job in jobs:
            assert torch.equal(job.result().frames, expected[name])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_workers(context: str, clips: dict[str, Path]) -> None:
    """Both decoders have run in the parent when the workers start."""
    expected = [read_video(clips[name]).frames for name in NAMES]
    loader: DataLoader[Video] = DataLoader(
        [str(clips[name]) for name in NAMES],  # type: ignore[arg-type]
        batch_size=None,
        num_workers=2,
        collate_fn=read_video,
        multiprocessing_context=context,
    )
    for video, frames in zip(loader, expected, strict=True):
        assert torch.equal(video.frames, frames)


def test_errors_keep_their_type_across_workers(tmp_path: Path) -> None:
    loader: DataLoader[Video] = DataLoader(
        [str(tmp_path / "missing.mp4")],  # type: ignore[arg-type]
        batch_size=None,
        num_workers=1,
        collate_fn=read_video,
        multiprocessing_context="fork",
    )
    with pytest.raises(VideoDecodeError, match=r"missing.mp4: it cannot be opened"):
        list(loader)


def test_readers_are_closed_at_once(clips: dict[str, Path]) -> None:
    """Neither files nor threads stay open, after frames or after an error."""
    sources: list[Path | bytes] = [clips[name] for name in NAMES]
    sources += [clips["no_duration"], clips["faststart"].read_bytes()[:3000]]

    def read_all() -> None:
        for source in sources:
            for backend in ("auto", "decord", "pyav"):
                try:
                    read_video(source, backend=backend)  # type: ignore[arg-type]
                except VideoDecodeError:
                    continue

    def held() -> tuple[int, int, int]:
        files = len(os.listdir("/proc/self/fd"))
        return files, len(os.listdir("/proc/self/task")), threading.active_count()

    read_all()
    gc.disable()
    try:
        before = held()
        read_all()
        assert held() == before
    finally:
        gc.enable()

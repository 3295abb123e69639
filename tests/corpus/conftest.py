from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aigv_reward.distortions import encode_mp4, render_scene

# Tests import light_scorer, and so do the workers, which are spawned with this process's sys.path.
sys.path.append(str(Path(__file__).parent))


def make_mp4(seed: int = 0, num_frames: int = 6) -> bytes:
    buffer = io.BytesIO()
    encode_mp4(buffer, render_scene(seed, num_frames=num_frames, height=48, width=64).frames, 8.0)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def mp4() -> bytes:
    return make_mp4()


@pytest.fixture
def texts(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of files named .mp4 that the light scorer knows what to do with."""

    def make(*contents: str, name: str = "in") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for number, content in enumerate(contents):
            (folder / f"{number:02d}.mp4").write_text(content)
        return folder

    return make

"""H.264 clips that the benchmarks make themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from aigv_reward.distortions import encode_mp4, render_scene

SIZES = {"480p": (480, 832), "720p": (720, 1280)}
FPS = 16.0


def write_clip(path: Path, *, height: int, width: int, num_frames: int = 81, seed: int = 0) -> Path:
    """A procedural scene as H.264 with B-frames: 81 frames are what video generators give."""
    scene = render_scene(seed, num_frames=num_frames, height=height, width=width)
    encode_mp4(path, scene.frames, FPS)
    return path


@contextmanager
def clips(*, small: bool, names: tuple[str, ...] = ("480p", "720p")) -> Iterator[dict[str, Path]]:
    """One clip of each size, in a folder that is removed at the end."""
    with TemporaryDirectory() as folder:
        made = {}
        for name in names:
            height, width = (240, 256) if small else SIZES[name]
            frames = 33 if small else 81
            path = Path(folder) / f"{name}.mp4"
            made[name] = write_clip(path, height=height, width=width, num_frames=frames)
        yield made

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch

from aigv_reward import Scores, Video, VideoReward, read_video

REPOSITORY = Path(__file__).parents[3]
CLIPS = REPOSITORY / "examples" / "clips"
TOKEN = "a-token-of-tests-0123456789"
FPS = 16.0
LIMITS = {
    "body_bytes": 8 << 20,
    "json_bytes": 64 << 10,
    "spool_bytes": 32 << 20,
    "items": 8,
    "queue_items": 8,
    "requests": 12,
    "frame_pixels": 1 << 18,
    "video_pixels": 1 << 22,
    "decode_memory": 256 << 20,
    "decode_seconds": 2,
    "body_seconds": 1.0,
}

RUN = """
import json, logging, sys
from aigv_reward.integrations.server import Limits, ServerSettings, serve
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
given = json.loads(sys.argv[1])
given["limits"] = Limits(**given.get("limits", {}))
serve(ServerSettings(**given), announce=lambda address: print(address, flush=True))
"""

# Whatever unpickles in any process of a server leaves a trace and fails.
TRAP = """
import os, pickle

def caught(*args, **kwargs):
    with open(os.environ["PICKLE_TRAP"], "a") as trace:
        trace.write("unpickled\\n")
    raise RuntimeError("nothing is unpickled here")

class Caught(pickle.Unpickler):
    def __init__(self, *args, **kwargs):
        caught()

pickle.load = pickle.loads = caught
pickle.Unpickler = pickle._Unpickler = Caught
"""


@dataclass
class Running:
    """A server in a process of its own."""

    url: str
    process: subprocess.Popen[str]
    log: Path
    trap: Path
    token: str | None = None

    def client(self, **options: Any) -> httpx.Client:
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, **options)


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Running]:
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(TRAP)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(REPOSITORY)]),
        "PICKLE_TRAP": str(folder / "trap"),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, json.dumps({"port": 0, **settings})],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            cwd=REPOSITORY,
        )
    # A server that never comes up must not hang the tests.
    alarm = threading.Timer(120, process.kill)
    alarm.start()
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        alarm.cancel()
        assert address, (folder / "log").read_text()
        yield Running(address, process, folder / "log", folder / "trap", settings.get("token"))
    finally:
        alarm.cancel()
        process.terminate()
        process.wait(60)


def ended(process: psutil.Process) -> bool:
    """Whether it runs no more, though whoever inherited it may not have reaped it yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The bundled default behind a token, with a folder whose files may be named by path."""
    folder = tmp_path_factory.mktemp("server")
    with running(
        folder, token=TOKEN, allow_root=str(CLIPS), fps=FPS, batch_size=1, max_wait=0.0
    ) as made:
        yield made
        # Killed, it takes its children with it all the same.
        children = psutil.Process(made.process.pid).children(recursive=True)
        made.process.kill()
        assert len(children) == 2
        deadline = time.monotonic() + 60
        while not all(map(ended, children)):
            assert time.monotonic() < deadline, children
            time.sleep(0.05)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same without a token, with limits that tests can reach."""
    with running(tmp_path_factory.mktemp("small"), limits=LIMITS) as made:
        yield made


@pytest.fixture(scope="session")
def reward() -> VideoReward:
    return VideoReward.from_pretrained()


@pytest.fixture(scope="session")
def clips() -> dict[str, Path]:
    names = ("city_clean", "city_noise", "library_blur")
    return {name: CLIPS / f"{name}.mp4" for name in names}


@pytest.fixture(scope="session")
def videos(clips: dict[str, Path]) -> dict[str, Video]:
    """The clips' first 20 frames, cropped."""
    made = {}
    for name, path in clips.items():
        whole = read_video(path)
        made[name] = Video(whole.frames[:20, :, 40:168, 30:222].contiguous(), whole.fps)
    return made


def content_of(video: Any) -> Any:
    """The same for videos that are the same: a file's path, or a digest of frames and rate."""
    if isinstance(video, Path):
        return video
    frames, fps = (video.frames, video.fps) if isinstance(video, Video) else (video, None)
    return hashlib.sha256(frames.numpy().tobytes()).hexdigest(), tuple(frames.shape), fps


@pytest.fixture(scope="session")
def offline(reward: VideoReward) -> Callable[..., Scores]:
    """What the library says of each video alone, worked out once for each."""
    known: dict[Any, dict[str, float]] = {}

    @torch.no_grad()
    def score(videos: Any, prompts: Any = None, **options: Any) -> list[dict[str, float]]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as in the servers of these tests
        try:
            texts = prompts or [None] * len(videos)
            rows = []
            for video, text in zip(videos, texts, strict=True):
                key = (content_of(video), text, repr(options))
                if key not in known:
                    known[key] = reward.score([video], [text], **options).rows()[0]
                rows.append(dict(known[key]))
            return rows
        finally:
            torch.set_num_threads(threads)

    return score


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Starts a server that the test may end."""
    return lambda **settings: running(tmp_path / "server", **settings)

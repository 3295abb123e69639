from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
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
    "frame_pixels": 1 << 22,
    "video_pixels": 1 << 24,
    "decode_memory": 128 << 20,
    "decode_seconds": 3,
    "header_seconds": 3.0,
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
    token: str

    def client(self, **options: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120, **options)

    def child(self, name: str) -> psutil.Process:
        """The process that runs a module."""
        found = [
            process
            for process in psutil.Process(self.process.pid).children()
            if any(part.endswith(name) for part in process.cmdline())
        ]
        assert len(found) == 1
        return found[0]

    def metric(self, line: str) -> float:
        """The sum of the lines of /metrics that begin so."""
        with self.client() as client:
            page = client.get("/metrics").text
        return sum(float(row.split()[-1]) for row in page.splitlines() if row.startswith(line))


def ended(processes: list[psutil.Process], seconds: float = 60.0) -> bool:
    """Whether they end in time; what nobody has reaped yet has ended too."""
    end = time.monotonic() + seconds
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder whose files may be named by path."""
    return Path(shutil.copytree(CLIPS, tmp_path_factory.mktemp("served") / "root"))


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, light_checkpoint: Path, root: Path
) -> Iterator[Running]:
    """Behind a token, with limits that tests can reach; whatever dies in it is started anew."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "sitecustomize.py").write_text(TRAP)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(REPOSITORY)]),
        "PICKLE_TRAP": str(folder / "trap"),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    settings = {
        "port": 0,
        "token": TOKEN,
        "allow_root": str(root),
        "checkpoint": str(light_checkpoint),
    }
    settings |= {"fps": FPS, "batch_size": 1, "max_wait": 0.0, "limits": LIMITS}
    with open(folder / "log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
            cwd=REPOSITORY,
        )
    # A server that never comes up must not hang the tests.
    alarm = threading.Timer(300, process.kill)
    alarm.start()
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        alarm.cancel()
        assert address, (folder / "log").read_text()
        yield Running(address, process, folder / "log", folder / "trap", TOKEN)
        # Killed, it takes its children with it all the same.
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert len(children) == 2 and ended(children)
        assert not list(folder.glob("aigv-reward-serve-*"))  # what clients sent is gone, too
    finally:
        alarm.cancel()
        process.kill()
        process.wait(60)


@pytest.fixture(scope="session")
def reward(light_checkpoint: Path) -> VideoReward:
    return VideoReward.from_pretrained(str(light_checkpoint))


@pytest.fixture(scope="session")
def clips(root: Path) -> dict[str, Path]:
    names = ("city_clean", "city_noise", "library_blur")
    return {name: root / f"{name}.mp4" for name in names}


@pytest.fixture(scope="session")
def videos(clips: dict[str, Path]) -> dict[str, Video]:
    """The clips' first 12 frames, cropped."""
    made = {}
    for name, path in clips.items():
        whole = read_video(path)
        made[name] = Video(whole.frames[:12, :, 40:136, 30:158].contiguous(), whole.fps)
    return made


@pytest.fixture(scope="session")
def offline(reward: VideoReward) -> Callable[..., Scores]:
    """What the library says of each video alone, each question answered once."""
    known: dict[Any, dict[str, float]] = {}

    @torch.no_grad()
    def score(videos: Any, prompts: Any = None, **options: Any) -> list[dict[str, float]]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # as in the servers of these tests
        try:
            rows = []
            for video, text in zip(videos, prompts or [None] * len(videos), strict=True):
                frames = video.frames if isinstance(video, Video) else video
                what = frames.numpy().tobytes() if isinstance(frames, torch.Tensor) else frames
                key = (type(video), what, text, repr(options))
                if key not in known:
                    known[key] = reward.score([video], [text], **options).rows()[0]
                rows.append(known[key])
            return rows
        finally:
            torch.set_num_threads(threads)

    return score


@pytest.fixture(scope="session")
def same_frame() -> Callable[[int, int], bytes]:
    """`same_frame(side, frames)`: a black square, over and over: little to write, much to read."""

    def video(side: int, frames: int) -> bytes:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="matroska") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.height = stream.width = side
            stream.pix_fmt = "yuv420p"
            picture = av.VideoFrame.from_ndarray(np.zeros((side, side, 3), np.uint8))
            first, same = [*stream.encode(picture), *stream.encode(picture), *stream.encode()]
            for index, data in enumerate([bytes(first)] + [bytes(same)] * (frames - 1)):
                packet = av.Packet(data)
                packet.stream, packet.is_keyframe = stream, index == 0
                packet.pts = packet.dts = index * 40
                packet.time_base = Fraction(1, 1000)
                container.mux(packet)
        return buffer.getvalue()

    return video

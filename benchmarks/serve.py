"""Many requests at once, good and bad, against `aigv-reward serve`; one worker killed half-way."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch

from aigv_reward import Scores, VideoReward, read_video
from aigv_reward.integrations.server import AsyncRemoteReward, Retries

CLIPS = sorted((Path(__file__).parents[1] / "examples" / "clips").glob("*.mp4"))
MIX = {"file": 34, "frames": 34, "path": 12, "malformed": 6, "oversized": 4, "slow": 5, "gone": 5}
TOLERANCE = 1e-5


@dataclass
class Load:
    """What came of the requests.

    Attributes:
        sent: requests by kind.
        scored: good requests whose scores were the library's.
        exact: those among them that were so to the last bit.
        refused: bad ones that were refused as they should be.
        wrong: what was not as it should be, in words.
        seconds: of each good request, retries included.
        wall: seconds in all.
        memory: peak of all processes of the server together, bytes.
        server_memory: peak of the process that answers alone, bytes.
    """

    sent: Counter[str] = field(default_factory=Counter)
    scored: int = 0
    exact: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    memory: int = 0
    server_memory: int = 0


@dataclass(frozen=True)
class Clip:
    """A clip, its first frames, and what the library says of both."""

    path: Path
    data: bytes
    frames: torch.Tensor
    of_file: dict[Any, float]
    of_frames: dict[Any, float]


@torch.no_grad()
def known_clips(count: int, checkpoint: str) -> list[Clip]:
    """Clips scored by the library, each alone."""
    reward = VideoReward.from_pretrained(checkpoint)
    made = []
    for path in CLIPS[:count]:
        frames = read_video(path).frames[:16, :, :96, :128].contiguous()
        (of_file,), (of_frames,) = (
            scores.rows() for scores in (reward.score([path]), reward.score([frames], fps=16.0))
        )
        made.append(Clip(path, path.read_bytes(), frames, of_file, of_frames))
    return made


class Client:
    """Sends requests of every kind and judges the answers."""

    def __init__(self, url: str, load: Load, clips: list[Clip]) -> None:
        self.url, self.load, self.clips = url, load, clips
        retries = Retries(attempts=30, first=0.2, longest=3.0)
        self.reward = AsyncRemoteReward(url, retries=retries)
        self.plain = httpx.AsyncClient(base_url=url, timeout=300)

    async def send(self, kind: str, clip: Clip) -> None:
        """One request."""
        self.load.sent[kind] += 1
        started = time.monotonic()
        try:
            ok = await getattr(self, kind)(clip)
        except Exception as error:  # whatever it is, it is a finding
            self.load.wrong.append(f"{kind}: {type(error).__name__} {str(error)[:200]}")
            return
        if ok is not None:
            self.load.seconds.append(time.monotonic() - started)

    async def file(self, clip: Clip) -> bool:
        """A file, uploaded."""
        return self._judge(await self.reward.score([clip.data]), clip.of_file)

    async def frames(self, clip: Clip) -> bool:
        """Frames, as a tensor."""
        return self._judge(await self.reward.score([clip.frames], fps=16.0), clip.of_frames)

    async def path(self, clip: Clip) -> bool:
        """Two files by path, one of which is none; asked again while the server is busy."""
        while True:
            items = [{"path": clip.path.name}, {"path": "none.mp4"}]
            answer = await self.plain.post("/v1/score", json={"items": items})
            if answer.status_code != 503:
                break
            await asyncio.sleep(float(answer.headers["retry-after"]))
        good, none = answer.json()["results"]
        if none["error"]["type"] != "not_found":
            raise ValueError(f"a file that is none: {none}")
        return self._judge_row(good["scores"], clip.of_file)

    async def malformed(self, clip: Clip) -> None:
        """A body that is not what it says."""
        kinds = ("application/json", "application/vnd.aigv.safetensors", "text/plain")
        kind = kinds[self.load.sent["malformed"] % len(kinds)]
        content = clip.data[:5000]
        answer = await self.plain.post("/v1/score", content=content, headers={"content-type": kind})
        self._refused(answer.status_code, {415, 422, 503})

    async def oversized(self, clip: Clip) -> None:
        """A small body whose header declares terabytes."""
        shape = [1 << 20, 1024, 1024, 3]
        size = (1 << 40) * 3
        header = {"a": {"dtype": "U8", "shape": shape, "data_offsets": [0, size]}}
        text = json.dumps(
            {"__metadata__": {"aigv_reward": json.dumps({"items": [{"tensor": "a"}]})}, **header}
        ).encode()
        answer = await self.plain.post(
            "/v1/score",
            content=len(text).to_bytes(8, "little") + text,
            headers={"content-type": "application/vnd.aigv.safetensors"},
        )
        self._refused(answer.status_code, {413, 503})

    async def slow(self, clip: Clip) -> bool:
        """A good file that comes in drops."""
        request = self.plain.build_request(
            "POST",
            "/v1/score",
            data={"request": json.dumps({"items": [{"file": "a"}]})},
            files={"a": clip.data},
        )
        body = request.read()
        step = -(-len(body) // 20)

        async def drops() -> Any:
            for start in range(0, len(body), step):
                await asyncio.sleep(0.1)
                yield body[start : start + step]

        while True:
            answer = await self.plain.post(
                "/v1/score",
                content=drops(),
                headers={"content-type": request.headers["content-type"]},
            )
            if answer.status_code != 503:
                break
            await asyncio.sleep(float(answer.headers["retry-after"]))
        return self._judge_row(answer.json()["results"][0]["scores"], clip.of_file)

    async def gone(self, clip: Clip) -> None:
        """A client that goes away before its answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(random.Random(len(self.load.seconds)).uniform(0.01, 0.2)):
                await self.reward.score([clip.data])
        self.load.refused += 1

    def _refused(self, status: int, allowed: set[int]) -> None:
        if status not in allowed:
            raise ValueError(f"status {status}, expected one of {allowed}")
        self.load.refused += 1

    def _judge(self, scores: Scores, expected: dict[Any, float]) -> bool:
        return self._judge_row(scores.rows()[0], expected)

    def _judge_row(self, row: dict[Any, float], expected: dict[Any, float]) -> bool:
        off = max(abs(row[name] - value) for name, value in expected.items())
        if off > TOLERANCE:
            raise ValueError(f"scores are off by {off:.2e}")
        self.load.scored += 1
        self.load.exact += off == 0
        return True


async def send_all(
    client: Client, *, requests: int, at_once: int, half_way: Callable[[], None]
) -> None:
    """All requests, in an order that is always the same."""
    draw = random.Random(0)
    kinds = draw.choices(list(MIX), weights=list(MIX.values()), k=requests)
    free = asyncio.Semaphore(at_once)

    async def one(index: int, kind: str) -> None:
        async with free:
            if index == requests // 2:
                half_way()
            await client.send(kind, client.clips[index % len(client.clips)])

    started = time.monotonic()
    await asyncio.gather(*(one(index, kind) for index, kind in enumerate(kinds)))
    client.load.wall = time.monotonic() - started


def model_process(server: psutil.Process) -> psutil.Process:
    """The server's child that holds the model."""
    found = [p for p in server.children() if p.cmdline()[-1].endswith("model_child")]
    return found[0]


def run_load(*, requests: int, at_once: int, clips: int, checkpoint: str = "lite") -> Load:
    """Start a server, send the requests, kill its model half-way, and stop it."""
    load = Load()
    known = known_clips(clips, checkpoint)
    command = [sys.executable, "-m", "aigv_reward", "serve", "--port", "0"]
    command += ["--checkpoint", checkpoint]
    with subprocess.Popen(
        [*command, "--allow-root", str(CLIPS[0].parent)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        server, stop = psutil.Process(process.pid), threading.Event()
        watch = threading.Thread(target=watch_memory, args=(server, load, stop))
        try:
            client = Client(said.split()[-1], load, known)
            watch.start()
            killed = model_process(server)
            asyncio.run(send_all(client, requests=requests, at_once=at_once, half_way=killed.kill))
            page = httpx.get(f"{client.url}/metrics").text
            for line in (
                "aigv_reward_items_waiting 0.0",
                'child_restarts_total{child="model0"} 1.0',
            ):
                if line not in page:
                    load.wrong.append(f"the metrics lack {line!r}")
        finally:
            stop.set()
            process.terminate()
    if process.returncode != 0:
        load.wrong.append(f"the server ended with status {process.returncode}")
    return load


def watch_memory(server: psutil.Process, load: Load, stop: threading.Event) -> None:
    """Note the peaks, twice a second."""
    while not stop.wait(0.5):
        total = 0
        for process in [server, *server.children(recursive=True)]:
            with suppress(psutil.Error):
                memory = process.memory_full_info().pss
                total += memory
                if process.pid == server.pid:
                    load.server_memory = max(load.server_memory, process.memory_info().rss)
        load.memory = max(load.memory, total)


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--clips", type=int, default=len(CLIPS))
    options = parser.parse_args()
    load = run_load(requests=options.requests, at_once=options.at_once, clips=options.clips)
    print(f"{sum(load.sent.values())} requests, {options.at_once} at once: {dict(load.sent)}")
    good = sum(load.sent[kind] for kind in ("file", "frames", "path", "slow"))
    print(f"good requests with the library's scores: {load.scored} of {good}, {load.exact} exactly")
    print(f"bad ones refused or gone: {load.refused} of {sum(load.sent.values()) - good}")
    print(f"{load.wall:.1f} s, {load.scored / load.wall:.2f} good requests a second")
    quantiles = statistics.quantiles(load.seconds, n=20)
    print(f"a good request: median {quantiles[9]:.2f} s, 95 % {quantiles[18]:.2f} s")
    print(f"peak memory: {load.memory / 2**30:.2f} GiB, {load.server_memory / 2**20:.0f} MiB of it "
          "in the process that answers")  # fmt: skip
    for line in load.wrong:
        print(f"WRONG: {line}")
    sys.exit(bool(load.wrong))


if __name__ == "__main__":
    main()

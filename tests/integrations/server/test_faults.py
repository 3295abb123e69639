"""What dies is started anew, and only what it took down with it is lost."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import psutil
import pytest
from safetensors.torch import save

from aigv_reward import Video
from aigv_reward.integrations.server.supervised import ChildFailed, ChildLost, Supervised


def child(server: Any, module: str) -> psutil.Process:
    found = [
        process
        for process in psutil.Process(server.process.pid).children()
        if any(part.endswith(module) for part in process.cmdline())
    ]
    assert len(found) == 1
    return found[0]


def wait_until(true: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def post(server: Any, path: Path, **options: Any) -> httpx.Response:
    with server.client() as client:
        return client.post(
            "/v1/score",
            data={"request": json.dumps({"items": [{"file": "a"}]})},
            files={"a": path.read_bytes()},
            **options,
        )


def metric(server: Any, line: str) -> float:
    with server.client() as client:
        page = client.get("/metrics").text
    return sum(float(row.split()[-1]) for row in page.splitlines() if row.startswith(line))


def test_killed_children_lose_no_request(small: Any, clips: dict[str, Path], offline: Any) -> None:
    (expected,) = offline([clips["city_noise"]])
    victims = [child(small, module) for module in ("model_child", "decode_child")]
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(post, small, clips["city_noise"]) for _ in range(4)]
        time.sleep(0.1)
        for victim in victims:
            victim.kill()
        with small.client() as client:
            wait_until(lambda: client.get("/readyz").status_code == 503)
            assert client.get("/healthz").status_code == 200
        answers.append(pool.submit(post, small, clips["city_noise"]))
        for answer in answers:
            (result,) = answer.result().json()["results"]
            assert result["scores"] == pytest.approx(expected, abs=1e-5)
    with small.client() as client:
        assert client.get("/readyz").status_code == 200
    for name, module, victim in zip(
        ("model0", "decoder"), ("model_child", "decode_child"), victims, strict=True
    ):
        assert metric(small, f'aigv_reward_child_restarts_total{{child="{name}"}}') == 1
        assert child(small, module).pid != victim.pid
        assert f"child={name} was ended by SIGKILL" in small.log.read_text()


def looped_video(picture: np.ndarray, frames: int) -> bytes:
    """A video of one frame, over and over: little to encode, much to decode."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        first = stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        (packet,) = [*first, *stream.encode()]
        data = bytes(packet)
        for index in range(frames):
            copy = av.Packet(data)
            copy.stream, copy.is_keyframe = stream, True
            copy.pts = copy.dts = index * 40
            copy.time_base = Fraction(1, 1000)
            container.mux(copy)
    return buffer.getvalue()


def test_decoding_has_its_limits_and_sigterm_its_manners(
    start: Any, tmp_path: Path, clips: dict[str, Path]
) -> None:
    long = tmp_path / "long.mkv"
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    long.write_bytes(looped_video(noise, 600))
    with start(limits={"decode_seconds": 1, "decode_memory": 256 << 20}) as server:
        started = time.monotonic()
        (slow,) = post(server, long).json()["results"]
        assert slow["error"]["type"] == "decode_timeout"
        assert slow["error"]["message"] in {
            "decoding took more than 1 s of a processor",
            "decoding took longer than 2 s",
        }
        assert time.monotonic() - started < 20
        big = tmp_path / "big.mkv"
        big.write_bytes(looped_video(np.zeros((2048, 2048, 3), np.uint8), 60))
        (large,) = post(server, big).json()["results"]
        assert large["error"]["type"] in {"decode_limit", "decode_crash"}
        # Neither cost the others anything.
        assert "scores" in post(server, clips["city_clean"]).json()["results"][0]
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert len(children) == 2
        # Asked to stop, it answers what is under way and leaves nothing.
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(post, server, clips["city_clean"])
            wait_until(lambda: metric(server, "aigv_reward_items_waiting") == 1)
            server.process.send_signal(signal.SIGTERM)
            assert "scores" in answer.result().json()["results"][0]
        assert server.process.wait(60) == 0
        assert not any(process.is_running() for process in children)
        assert not list(server.log.parent.glob("aigv-reward-serve-*"))


def test_a_full_queue_is_503_with_retry_after(small: Any, videos: dict[str, Video]) -> None:
    frames = videos["city_clean"].frames[:10].permute(0, 2, 3, 1).contiguous()
    names = [str(index) for index in range(8)]
    items = [{"tensor": name, "fps": 16.0} for name in names]
    tensors = {name: frames.clone() for name in names}
    body = save(tensors, metadata={"aigv_reward": json.dumps({"items": items})})

    def send(_: int) -> httpx.Response:
        kind = {"content-type": "application/vnd.aigv.safetensors"}
        with small.client() as client:
            return client.post("/v1/score", content=body, headers=kind)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert sorted({answer.status_code for answer in answers}) == [200, 503]
    for answer in answers:
        if answer.status_code == 200:
            assert all("scores" in result for result in answer.json()["results"])
        else:
            assert answer.json()["error"]["type"] == "busy"
            assert int(answer.headers["retry-after"]) >= 1
    assert metric(small, "aigv_reward_items_waiting") == 0


def test_a_client_that_leaves_frees_its_place(small: Any, clips: dict[str, Path]) -> None:
    with pytest.raises(httpx.ReadTimeout):
        post(small, clips["city_noise"], timeout=httpx.Timeout(60, read=0.02))
    left = 'aigv_reward_requests_total{route="/v1/score",status="499"}'
    wait_until(lambda: metric(small, left) >= 1)
    assert metric(small, "aigv_reward_items_waiting") == 0
    assert not list(small.log.parent.glob("aigv-reward-serve-*/*"))


TOY = """
import time
from aigv_reward.integrations.server.channel import Channel

def main():
    channel = Channel()
    settings = channel.receive()
    print("what a library prints is no answer")
    if "failed" in settings:
        channel.send(failed=settings["failed"])
        return
    channel.send(ready=settings)
    for message in channel.messages():
        if "garble" in message:
            channel._outgoing.write(b"no json\\n")
        time.sleep(message.get("sleep", 0))
        if "exit" in message:
            raise SystemExit(message["exit"])
        channel.send(**message)
"""


def supervised(
    settings: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch, restarts: list[str]
) -> Supervised:
    (folder / "toy_child.py").write_text(TOY)
    monkeypatch.syspath_prepend(folder)

    async def told() -> dict[str, Any]:
        return settings

    return Supervised("toy_child", name="toy", settings=told, on_restart=restarts.append)


def test_a_child_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"failed": "ValueError: unknown checkpoint"}
    with pytest.raises(ChildFailed, match="ValueError: unknown checkpoint"):
        asyncio.run(supervised(settings, tmp_path, monkeypatch, []).start())


def test_a_child_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restarts: list[str] = []
    toy = supervised({"a": 1}, tmp_path, monkeypatch, restarts)

    async def main() -> None:
        await toy.start()
        try:
            assert toy.ready and toy.facts == {"a": 1}
            calls = [toy.call({"n": n}, timeout=60) for n in range(3)]
            assert await asyncio.gather(*calls) == [{"n": 0}, {"n": 1}, {"n": 2}]
            with pytest.raises(ChildLost, match="ended with status 3"):
                await toy.call({"exit": 3}, timeout=60)
            assert await toy.call({"n": 4}, timeout=60) == {"n": 4}
            with pytest.raises(ChildLost, match=r"no answer within 0\.2 s"):
                await toy.call({"sleep": 60}, timeout=0.2)
            assert not toy.ready
            with pytest.raises(ChildLost, match="ended by SIGKILL"):
                await toy.call({"garble": 1, "sleep": 60}, timeout=60)
            assert await toy.call({"n": 5}, timeout=60) == {"n": 5}
        finally:
            await toy.stop()

    asyncio.run(main())
    assert restarts == ["toy"] * 3

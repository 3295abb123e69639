"""What dies is started anew, and only what it took down with it is lost."""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from aigv_reward import VideoReward
from aigv_reward.integrations.server.confinement import data_bytes
from aigv_reward.integrations.server.decode_job import run_job
from aigv_reward.integrations.server.supervised import ChildFailed, ChildLost, Supervised


def wait_until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@contextmanager
def held(server: Any, waiting: int, send: Callable[..., Any], *data: Any) -> Iterator[list[Any]]:
    """Answers to come of requests that are under way for as long as the block runs."""
    model = server.child("model_child")
    with ThreadPoolExecutor(waiting) as pool:
        model.suspend()
        try:
            answers = [pool.submit(send, server, *data) for _ in range(waiting)]
            wait_until(lambda: server.metric("aigv_reward_items_waiting") >= waiting)
            yield answers
        finally:
            if model.is_running():
                model.resume()


def post(server: Any, path: Path, **options: Any) -> httpx.Response:
    with server.client() as client:
        return client.post(
            "/v1/score",
            data={"request": json.dumps({"items": [{"file": "a"}]})},
            files={"a": path.read_bytes()},
            **options,
        )


def test_killed_children_lose_no_request(server: Any, clips: dict[str, Path], offline: Any) -> None:
    names = {"model_child": "model0", "decode_child": "decoder"}
    victims = {module: server.child(module) for module in names}
    started = {
        name: server.metric(f'aigv_reward_child_restarts_total{{child="{name}"}}')
        for name in names.values()
    }
    with held(server, 4, post, clips["city_noise"]) as answers:
        for victim in victims.values():
            victim.kill()
        with server.client() as client:
            wait_until(lambda: client.get("/readyz").status_code == 503)
            assert client.get("/healthz").status_code == 200
        answers.append(ThreadPoolExecutor(1).submit(post, server, clips["city_noise"]))
    (expected,) = offline([clips["city_noise"]])
    for answer in answers:
        (result,) = answer.result().json()["results"]
        assert result["scores"] == pytest.approx(expected, abs=1e-5)
    with server.client() as client:
        assert client.get("/readyz").status_code == 200
    for module, name in names.items():
        restarts = server.metric(f'aigv_reward_child_restarts_total{{child="{name}"}}')
        assert restarts == started[name] + 1
        assert server.child(module).pid != victims[module].pid
        assert f"child={name} was ended by SIGKILL" in server.log.read_text()


def test_decoding_has_its_limits(
    server: Any, root: Path, clips: dict[str, Path], same_frame: Callable[..., bytes]
) -> None:
    """3 s of a processor, 128 MiB; neither who is over them costs the others anything."""
    (root / "long.mkv").write_bytes(same_frame(1024, 12_000))
    (root / "big.mkv").write_bytes(same_frame(2048, 60))
    items = [{"path": name} for name in ("long.mkv", "big.mkv", clips["city_clean"].name)]
    with server.client() as client:
        slow, large, good = client.post("/v1/score", json={"items": items}).json()["results"]
    assert slow["error"]["type"] == "decode_timeout"
    assert slow["error"]["message"] in {
        "decoding took more than 3 s of a processor",
        "decoding took longer than 6 s",
    }
    assert large["error"]["type"] in {"decode_limit", "decode_crash"}
    assert "scores" in good


def test_a_tensor_is_not_memory_of_its_decoder(reward: VideoReward, tmp_path: Path) -> None:
    """450 MiB of frames, of which views take a few, in 200 MiB."""
    path, shape = tmp_path / "tensor", [600, 512, 512, 3]
    path.touch()
    os.truncate(path, math.prod(shape))  # sparse
    job = {"kind": "tensor", "path": str(path), "offset": 0, "shape": shape, "fps": 16.0}
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes() + (200 << 20), hard))
    try:
        done = run_job(
            reward, {**job, "out": str(tmp_path / "views")}, {"decode_memory": 200 << 20}
        )
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    assert "done" in done


def test_a_full_queue_is_503_with_retry_after(server: Any, clips: dict[str, Path]) -> None:
    with held(server, 8, post, clips["city_clean"]) as answers:
        refused = post(server, clips["city_clean"])
    assert refused.status_code == 503
    assert refused.json()["error"] == {
        "type": "busy",
        "message": "8 videos wait, of 8 that may; try again",
    }
    assert int(refused.headers["retry-after"]) >= 1
    assert all("scores" in answer.result().json()["results"][0] for answer in answers)
    assert server.metric("aigv_reward_items_waiting") == 0


def test_a_client_that_leaves_frees_its_place(server: Any, clips: dict[str, Path]) -> None:
    left = 'aigv_reward_requests_total{route="/v1/score",status="499"}'
    before = server.metric(left)

    def leave(server: Any) -> None:
        with pytest.raises(httpx.ReadTimeout):
            post(server, clips["city_noise"], timeout=httpx.Timeout(60, read=1.0))

    with held(server, 1, leave):
        wait_until(lambda: server.metric(left) == before + 1)
        assert server.metric("aigv_reward_items_waiting") == 0
        wait_until(lambda: not list(server.log.parent.glob("aigv-reward-serve-*/*")))


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

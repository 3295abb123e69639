"""`aigv-reward serve` as a process: HTTPS, a token, calibrated scores, a load, and its end."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import psutil
import pytest

from aigv_reward import VideoReward
from aigv_reward.integrations.server import RemoteReward, RewardUnavailable
from aigv_reward.integrations.server.client_retries import Retries

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # and its key
BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "serve.py"
TOKEN = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def command(
    light_checkpoint: Path, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its address, for all tests here; the last one stops it."""
    token = tmp_path_factory.mktemp("command") / "token"
    token.write_text(f"{TOKEN}\n")
    options = ["--port", "0", "--checkpoint", light_checkpoint, "--token-file", token]
    options += ["--tls-cert", CERTIFICATE, "--by", "technical=0.5,overall=0.5", "--calibrated"]
    few_files = ["bash", "-c", 'ulimit -S -n 256; exec "$@"', "-"]
    serve = [*few_files, sys.executable, "-m", "aigv_reward", "serve", "--allow-root", root]
    with subprocess.Popen([*serve, *options], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said.startswith("aigv-reward: scores videos at https://127.0.0.1:"), said
            yield process, said.split()[-1]
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


def calibrated(row: dict[Any, float], reward: VideoReward) -> dict[Any, float]:
    known = reward.model.config.calibration
    return {name: (row[name] - known[name]["mean"]) / known[name]["std"] for name in row}


def child(process: subprocess.Popen[str], module: str) -> psutil.Process:
    """The one that runs a module."""
    found = psutil.Process(process.pid).children()
    (one,) = [each for each in found if each.cmdline()[-1].endswith(module)]
    return one


def test_what_it_says(command: tuple[subprocess.Popen[str], str]) -> None:
    process, url = command
    soft, hard = psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard  # each connection is a file
    with httpx.Client(base_url=url, timeout=120) as client:
        assert client.get("/v1/info").status_code == 401
        client.headers["authorization"] = f"Bearer {TOKEN}"
        info = client.get("/v1/info").json()
        assert info["weights"] == {"technical": 0.5, "overall": 0.5}
        assert info["calibrated"] is True
        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert client.post("/v1/score", content=b"no parts", headers=headers).status_code == 422


def test_who_does_not_trust_its_certificate(
    command: tuple[subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with (
        RemoteReward(command[1], token=TOKEN, retries=Retries(attempts=1)) as stranger,
        pytest.raises(RewardUnavailable, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        stranger.info()


@pytest.fixture
def script() -> Iterator[ModuleType]:
    """The load test of the benchmarks."""
    spec = importlib.util.spec_from_file_location("serve_load", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve_load"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["serve_load"]


def test_a_mix_of_requests_and_a_killed_worker(
    command: tuple[subprocess.Popen[str], str],
    light_checkpoint: Path,
    reward: VideoReward,
    script: Any,
) -> None:
    """The benchmarks' load, smaller: nothing is lost, nothing is wrong."""
    process, url = command
    url = url.replace("https://", f"https://any:{TOKEN}@")
    clips = [
        replace(
            clip,
            of_file=calibrated(clip.of_file, reward),
            of_frames=calibrated(clip.of_frames, reward),
        )
        for clip in script.known_clips(2, str(light_checkpoint))
    ]
    load, stop = script.Load(), threading.Event()
    watched = (psutil.Process(process.pid), load, stop)
    watch = threading.Thread(target=script.watch_memory, args=watched)
    watch.start()
    killed = child(process, "model_child")

    async def send() -> None:
        client = script.Client(url, load, clips)
        async with client.reward, client.plain:
            await script.send_all(client, requests=64, at_once=32, half_way=killed.kill)

    try:
        asyncio.run(send())
    finally:
        stop.set()
        watch.join()
    good = sum(load.sent[kind] for kind in ("file", "frames", "path", "slow"))
    assert load.wrong == []
    assert set(load.sent) == set(script.MIX)
    assert load.scored == good
    assert load.refused == 64 - good
    assert load.memory < 4 << 30
    assert load.server_memory < 400 << 20
    page = httpx.get(f"{url}/metrics").text
    assert "aigv_reward_items_waiting 0.0" in page
    assert 'child_restarts_total{child="model0"} 1.0' in page


def test_serves_until_ctrl_c(
    command: tuple[subprocess.Popen[str], str],
    reward: VideoReward,
    clips: dict[str, Path],
    offline: Any,
) -> None:
    """Asked to stop, it answers what is under way and leaves nothing."""
    process, url = command
    assert process.stderr is not None
    model = child(process, "model_child")
    with (
        RemoteReward(url, token=TOKEN) as remote,
        httpx.Client(base_url=url, timeout=120) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        client.headers["authorization"] = f"Bearer {TOKEN}"
        found = remote.score([clips["city_noise"]])
        model.suspend()
        answer = pool.submit(remote.score, [clips["city_clean"]])
        while "items_waiting 1.0" not in client.get("/metrics").text:
            time.sleep(0.05)
        everyone = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        model.resume()
        assert answer.result().calibrated
    rest = process.stderr.read()
    assert process.wait() == 0
    assert not any(one.is_running() for one in everyone)
    # Nothing but the log, in which the load's killed worker is told of.
    told = [line for line in rest.splitlines() if "child=model0 was ended by SIGKILL" not in line]
    assert {line.split()[2] for line in told} == {"INFO"}
    (raw,) = offline([clips["city_noise"]])
    wanted = calibrated(raw, reward)
    assert found.rows() == [pytest.approx(wanted, abs=1e-4)]
    assert found.calibrated

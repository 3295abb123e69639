"""`aigv-reward serve` as a process: HTTPS, a token, calibrated scores, and its end."""

from __future__ import annotations

import signal
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from aigv_reward import VideoReward
from aigv_reward.integrations.server import RemoteReward, RewardUnavailable
from aigv_reward.integrations.server.client_retries import Retries

CERTIFICATE = Path(__file__).with_name("localhost.pem")  # and its key
TOKEN = "0123456789abcdef0123"


def child(process: subprocess.Popen[str], module: str) -> psutil.Process:
    """The one that runs a module."""
    found = psutil.Process(process.pid).children()
    (one,) = [each for each in found if each.cmdline()[-1].endswith(module)]
    return one


def test_serves_over_tls_until_ctrl_c(
    light_checkpoint: Path,
    reward: VideoReward,
    clips: dict[str, Path],
    offline: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    options = ["--port", "0", "--checkpoint", light_checkpoint, "--token-file", tmp_path / "token"]
    options += ["--tls-cert", CERTIFICATE, "--by", "technical=0.5,overall=0.5", "--calibrated"]
    few_files = ["bash", "-c", 'ulimit -S -n 256; exec "$@"', "-"]
    command = [*few_files, sys.executable, "-m", "aigv_reward", "serve", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("aigv-reward: scores videos at https://127.0.0.1:")
        url = said.split()[-1]
        soft, hard = psutil.Process(process.pid).rlimit(psutil.RLIMIT_NOFILE)
        assert soft == hard  # a request may hold a file for each of its videos
        trusted = ssl.create_default_context(cafile=str(CERTIFICATE))
        with httpx.Client(base_url=url, verify=trusted, timeout=120) as client:
            assert client.get("/v1/info").status_code == 401
            client.headers["authorization"] = f"Bearer {TOKEN}"
            info = client.get("/v1/info").json()
            assert info["weights"] == {"technical": 0.5, "overall": 0.5}
            assert info["calibrated"] is True
            # Without --allow-root nothing is read by path.
            refused = client.post("/v1/score", json={"items": [{"path": "/etc/passwd"}]})
            assert refused.status_code == 403
            message = refused.json()["error"]["message"]
            assert message.endswith("start it with --allow-root, or send the files")
            client.post(
                "/v1/score",
                content=b"no parts",
                headers={"content-type": "multipart/form-data; boundary=x"},
            )
        with (
            RemoteReward(url, token=TOKEN, retries=Retries(attempts=1)) as stranger,
            pytest.raises(RewardUnavailable, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            stranger.info()
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        model = child(process, "model_child")
        with (
            RemoteReward(url, token=TOKEN) as remote,
            httpx.Client(base_url=url, verify=trusted, timeout=120) as client,
            ThreadPoolExecutor(1) as pool,
        ):
            client.headers["authorization"] = f"Bearer {TOKEN}"
            found = remote.score([clips["city_noise"]])
            # Asked to stop, it answers what is under way and leaves nothing.
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
    assert {line.split()[2] for line in rest.splitlines()} == {"INFO"}  # nothing but the log
    (raw,) = offline([clips["city_noise"]])
    for name, known in reward.model.config.calibration.items():
        wanted = (raw[name] - known["mean"]) / known["std"]
        assert found[name].item() == pytest.approx(wanted, abs=1e-4)
    assert found.calibrated

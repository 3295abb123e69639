"""`aigv-reward serve`; what it serves is tested with the server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from typer.testing import Result

AIGV = [sys.executable, "-m", "aigv_reward"]
Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "host '0.0.0.0' can be reached from other machines"),
        (["--token-file", "no-such"], "token file 'no-such' cannot be read"),
        (["--allow-root", "no-such"], "allow_root 'no-such' is no folder"),
        (["--fps", "-1"], "fps is -1.0; it must be positive and finite"),
        (["--by", "beauty"], "unknown dimension 'beauty'"),
    ],
)
def test_what_makes_no_sense(run: Run, options: list[str], message: str) -> None:
    result = run("serve", "--port", 0, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_token_that_is_too_short(run: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short\n")
    result = run("serve", "--port", 0, "--token-file", tmp_path / "token")
    assert result.exit_code == 2
    assert "the token has 5 characters" in result.stderr
    assert "short\n" not in result.stderr


def test_a_port_that_is_taken(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("serve", "--port", taken.getsockname()[1])
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1 port" in result.stderr
    assert "give another --port, or 0 for a free one" in result.stderr


def test_without_the_extra_it_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["aigv_reward.cli.serve"]
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    result = run("serve")
    assert result.exit_code == 1
    assert 'serve needs fastapi: pip install "aigv-reward[server]"' in result.stderr


def test_a_checkpoint_that_is_none() -> None:
    ran = subprocess.run(
        [*AIGV, "serve", "--port", "0", "--checkpoint", "no-such"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(
        "aigv-reward: error: the server cannot start: ValueError: unknown checkpoint 'no-such'"
    )
    assert "Traceback" not in ran.stderr


def test_serves_until_ctrl_c(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef0123\n")
    options = ("--port", "0", "--checkpoint", checkpoint, "--token-file", tmp_path / "token")
    with subprocess.Popen(
        [*AIGV, "serve", *options, "--by", "technical=0.5,overall=0.5"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("aigv-reward: scores videos at http://127.0.0.1:")
        url = said.split()[-1]
        assert httpx.get(f"{url}/v1/info").status_code == 401
        token = {"authorization": "Bearer 0123456789abcdef0123"}
        info = httpx.get(f"{url}/v1/info", headers=token).json()
        assert info["weights"] == {"technical": 0.5, "overall": 0.5}
        assert info["trained"] == ["technical", "semantic", "overall"]
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 0
    assert "Traceback" not in rest

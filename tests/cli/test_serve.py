"""`aigv-reward serve`; what it serves is tested with the server."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from aigv_reward.integrations.server import Limits, ServerSettings

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "host '0.0.0.0' can be reached from other machines"),
        (["--token-file", "no-such"], "token file 'no-such' cannot be read"),
        (["--allow-root", "no-such"], "allow_root 'no-such' is no folder"),
        (["--fps", "-1"], "fps is -1.0; it must be positive and finite"),
        (["--by", "beauty"], "unknown dimension 'beauty'"),
        (["--tls-key", "key.pem"], "tls_key is 'key.pem' without tls_cert; name the certificate's"),
        (["--tls-cert", "no-such"], "tls_cert 'no-such' and tls_key None cannot be used"),
        (["--max-queue", "0"], "Invalid value for '--max-queue'"),
        (["--request-timeout", "nan"], "Invalid value for '--request-timeout'"),
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


def test_a_host_that_is_not_this_machine(run: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef")
    options = ("--host", "192.0.2.7", "--port", 0, "--token-file", tmp_path / "token")
    result = run("serve", *options)
    assert result.exit_code == 1
    assert "give an address of this machine as --host" in result.stderr


@pytest.fixture
def told(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ServerSettings]:
    """What options make of the settings."""
    made: list[ServerSettings] = []
    monkeypatch.setattr(sys.modules["aigv_reward.cli.serve"], "_run", made.append)

    def settings(*options: Any) -> ServerSettings:
        assert run("serve", *options).exit_code == 0
        return made[-1]

    return settings


def test_without_options_the_settings_are_those_of_python(told: Any) -> None:
    assert replace(told(), checkpoint=None) == ServerSettings()


def test_limits(told: Any) -> None:
    options = ("--max-queue", 32, "--max-body", 2048, "--body-timeout", 600)
    times = ("--request-timeout", 1000, "--decode-timeout", 90, "--decode-memory", 4096)
    limits = told(*options, *times).limits
    assert (limits.queue_items, limits.items) == (32, 32)
    assert (limits.body_bytes, limits.spool_bytes) == (2 << 30, 16 << 30)
    assert limits.video_pixels * 3 > limits.body_bytes  # whatever frames fit into one
    assert (limits.body_seconds, limits.decode_seconds) == (600.0, 90)
    assert (limits.request_seconds, limits.batch_seconds) == (1000.0, 400.0)
    assert limits.decode_memory == 4 << 30
    # A small body holds few frames as tensors, and many as PNG.
    assert told("--max-body", 1).limits.video_pixels == Limits.video_pixels


def test_without_the_extra_it_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["aigv_reward.cli.serve"]
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    result = run("serve")
    assert result.exit_code == 1
    assert 'serve needs fastapi: pip install "aigv-reward[server]"' in result.stderr


FAILING = """
from aigv_reward.integrations.server.channel import Channel

def main():
    channel = Channel()
    channel.send(failed=f"ValueError: unknown checkpoint {channel.receive()['checkpoint']!r}")
"""


def test_a_checkpoint_that_is_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the model's process says, as it does of such a checkpoint, in the place of it."""
    (tmp_path / "failing").mkdir()
    (tmp_path / "failing" / "model_child.py").write_text(FAILING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("aigv_reward.integrations.server.scorer.HERE", "failing")
    result = run("serve", "--port", 0, "--checkpoint", "no-such", tiny=False)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "aigv-reward: error: the server cannot start: ValueError: unknown checkpoint 'no-such'"
    )
    assert "Traceback" not in result.output

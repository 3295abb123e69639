"""A server refuses to start where it would be unsafe or could not work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from aigv_reward.integrations.server import Limits, ServerSettings
from aigv_reward.integrations.server.settings import is_loopback

GOOD = "0123456789abcdef"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.7", "no.such.host.invalid"])
def test_what_others_can_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ValueError, match=r"can be reached from other machines.*--token-file"):
        ServerSettings(host=host)
    assert ServerSettings(host=host, token=GOOD).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_does_not(host: str) -> None:
    assert is_loopback(host)
    assert ServerSettings(host=host).token is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": "short"}, "the token has 5 characters; use 16 or more"),
        ({"token": "0123456789 abcdef"}, "spaces or characters that are not printable ASCII"),
        ({"token": "0123456789abcdé1"}, "spaces or characters that are not printable ASCII"),
        ({"port": 65536}, "port is 65536; it must be 0..65535"),
        ({"allow_root": "no/such/folder"}, "allow_root 'no/such/folder' is no folder"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"decoders": 0}, "decoders is 0; it must be at least 1"),
        ({"devices": ()}, "devices is empty"),
        ({"max_wait": -1.0}, "max_wait is -1.0 s"),
        ({"fps": 0.0}, "fps is 0.0; it must be positive and finite"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServerSettings(**options)


def test_other_systems(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(ValueError, match="this is 'nt'; run it on Linux, and use RemoteReward"):
        ServerSettings()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"items": 0}, "the limit items is 0; it must be positive and finite"),
        ({"body_seconds": float("inf")}, "the limit body_seconds is inf"),
        ({"items": 9, "queue_items": 8}, "queue_items is 8 and one request may hold 9 items"),
        ({"body_bytes": 9, "spool_bytes": 8}, "spool_bytes is 8 and one body may have 9"),
        ({"body_bytes": 9, "spool_bytes": 17}, "twice that while it is taken apart; raise spool"),
    ],
)
def test_limits_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits(**options)


def test_the_token_is_not_shown() -> None:
    assert GOOD not in repr(ServerSettings(token=GOOD))

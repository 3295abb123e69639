"""What a server is told before it starts."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Limits:
    """How much a server takes on; each bounds memory, disk or time.

    Attributes:
        body_bytes: of one request.
        json_bytes: of a request's JSON, without its videos.
        spool_bytes: of all requests' bodies on disk together; one of `/compute` counts twice while
            it is taken apart.
        items: videos of one request.
        queue_items: videos of all requests that wait or are scored; beyond it the answer is 503.
        requests: that are open at once; beyond it the answer is 503.
        connections: that are open at once, whether or not they ask; beyond it the answer is 503.
        frame_pixels: of one frame.
        video_pixels: of all frames of one video that comes as frames.
        decode_memory: bytes that decoding one video may allocate.
        decode_seconds: of processor time for one video; twice that on the clock.
        header_seconds: to receive a request's header, or for the next one to come.
        body_seconds: to receive a request's body.
        request_seconds: to answer it once it has arrived; then the answer is 503.
        batch_seconds: that the model may take for one batch before it is started anew.

    Raises:
        ValueError: a limit below 1, fewer `queue_items` than `items`, or `spool_bytes` without room
            for two bodies.
    """

    body_bytes: int = 512 << 20
    json_bytes: int = 4 << 20
    spool_bytes: int = 4 << 30
    items: int = 64
    queue_items: int = 256
    requests: int = 128
    connections: int = 512
    frame_pixels: int = 1 << 25
    video_pixels: int = 1 << 28
    decode_memory: int = 2 << 30
    decode_seconds: int = 60
    header_seconds: float = 20.0
    body_seconds: float = 60.0
    request_seconds: float = 300.0
    batch_seconds: float = 120.0

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not 0 < value < float("inf"):
                raise ValueError(f"the limit {one.name} is {value}; it must be positive and finite")
        if self.queue_items < self.items:
            raise ValueError(
                f"queue_items is {self.queue_items} and one request may hold {self.items} items; "
                "raise queue_items or lower items"
            )
        if self.spool_bytes < 2 * self.body_bytes:
            raise ValueError(
                f"spool_bytes is {self.spool_bytes} and one body may have {self.body_bytes}, twice "
                "that while it is taken apart; raise spool_bytes or lower body_bytes"
            )


@dataclass(frozen=True)
class ServerSettings:
    """Where a server listens, who may ask it, and what it scores with.

    Attributes:
        host: address to listen on. Any but a loopback address needs a token.
        port: 0 takes a free one.
        token: what clients must send; None where only this machine can ask.
        allow_root: folder whose files may be named by path; None: none may.
        checkpoint: as `VideoReward.from_pretrained` takes it.
        devices: one model process each; None stands for cuda where there is one, else cpu.
        weights: {dimension: weight} of the one number that `/compute` answers; None as
            `VideoReward` has them.
        calibrated: whether scores are z-scores against the checkpoint's reference set.
        tls_cert: file of the certificate and those that vouch for it, PEM; None for plain HTTP.
        tls_key: file of its private key, without a passphrase; None where `tls_cert` holds it.
        fps: frames per second of the videos that come without, as `/compute`'s do.
        batch_size: videos that go through the model at once.
        max_wait: seconds that a video waits for others to share its batch.
        decoders: videos that are decoded at once; None for one a processor, 4 at most.
        limits: see `Limits`.

    Raises:
        ValueError: a host that others can reach and no token, a token that is too short or does
            not fit into a header, no such `allow_root`, a certificate or key that cannot be used,
            or a number out of its range.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    allow_root: str | None = None
    checkpoint: str | None = None
    devices: tuple[str | None, ...] = (None,)
    weights: Mapping[str, float] | None = None
    calibrated: bool = False
    tls_cert: str | None = None
    tls_key: str | None = None
    fps: float | None = None
    batch_size: int = 8
    max_wait: float = 0.02
    decoders: int | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if os.name != "posix":
            raise ValueError(
                f"the server limits its decoders as POSIX systems can, and this is {os.name!r}; "
                "run it on Linux, and use RemoteReward here"
            )
        if not 0 <= self.port < 1 << 16:
            raise ValueError(f"port is {self.port}; it must be 0..65535")
        if self.token is None and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host!r} can be reached from other machines and there is no token; "
                "give --token-file, or listen on 127.0.0.1"
            )
        if self.token is not None:
            _check_token(self.token)
        if self.allow_root is not None and not Path(self.allow_root).is_dir():
            raise ValueError(f"allow_root {self.allow_root!r} is no folder; name one that exists")
        _check_tls(self.tls_cert, self.tls_key)
        for name in ("batch_size", "decoders"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not self.devices:
            raise ValueError("devices is empty; name one, or (None,) for the default")
        if not 0 <= self.max_wait < float("inf"):
            raise ValueError(f"max_wait is {self.max_wait} s; it must be 0 or more, and finite")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"fps is {self.fps}; it must be positive and finite")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`: every address it stands for is a loopback one."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM) if host else []
    except OSError:
        return False
    addresses = [str(address[0]).partition("%")[0] for *_, address in found]
    return bool(addresses) and all(ipaddress.ip_address(one).is_loopback for one in addresses)


def _check_token(token: str) -> None:
    if len(token) < SHORTEST_TOKEN:
        raise ValueError(
            f"the token has {len(token)} characters; use {SHORTEST_TOKEN} or more, such as "
            "`openssl rand -hex 32` prints"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            "the token holds spaces or characters that are not printable ASCII; use letters and "
            "digits"
        )


def _check_tls(cert: str | None, key: str | None) -> None:
    if cert is None:
        if key is not None:
            raise ValueError(
                f"tls_key is {key!r} without tls_cert; name the certificate's file too"
            )
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a passphrase OpenSSL would ask the terminal for one.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"tls_cert {cert!r} and tls_key {key!r} cannot be used ({error}); give a certificate "
            "in PEM and its private key without a passphrase"
        ) from error

"""A server from its settings until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from aigv_reward.integrations.server.app import create_app
from aigv_reward.integrations.server.connections import bounded_protocol
from aigv_reward.integrations.server.metrics import Metrics
from aigv_reward.integrations.server.scorer import Scorer
from aigv_reward.integrations.server.settings import ServerSettings
from aigv_reward.integrations.server.spool import Spool
from aigv_reward.integrations.server.supervised import ChildFailed

LAST_REQUESTS = 30


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises the signal anew when it is done, before the children are ended.
        yield


def serve(
    settings: ServerSettings, *, announce: Callable[[str], None] = lambda address: None
) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first.

    Args:
        settings: see `ServerSettings`.
        announce: called with the server's address when videos can be scored.

    Raises:
        ValueError: the address is taken or not this machine's, or the checkpoint cannot be loaded.
    """
    _raise_open_files()
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, settings.port))
        except OSError as error:
            elsewhere = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
            remedy = (
                "give an address of this machine as --host"
                if elsewhere
                else "give another --port, or 0 for a free one"
            )
            raise ValueError(
                f"cannot listen on {settings.host} port {settings.port} ({error.strerror}); "
                f"{remedy}"
            ) from error
        asyncio.run(_serve(settings, listening, announce))


def _raise_open_files() -> None:
    """As many as this process may have: each connection is one, and each body that arrives."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # systems differ in what they call unlimited
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    settings: ServerSettings, listening: socket.socket, announce: Callable[[str], None]
) -> None:
    spool = Spool(settings.limits)
    scorer = Scorer(settings, Metrics(), spool.folder)
    server = _Server(
        uvicorn.Config(
            create_app(settings, scorer, spool),
            loop="asyncio",
            http=bounded_protocol(settings.limits),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
            timeout_graceful_shutdown=LAST_REQUESTS,
        )
    )
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    answering = asyncio.create_task(server.serve(sockets=[listening]))
    starting = asyncio.create_task(scorer.start())
    try:
        await asyncio.wait((answering, starting), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            host, port = listening.getsockname()[:2]
            scheme = "http" if settings.tls_cert is None else "https"
            announce(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
        await answering
    except ChildFailed as error:
        raise ValueError(f"the server cannot start: {error}") from None
    finally:
        server.should_exit = True
        starting.cancel()
        with suppress(asyncio.CancelledError, ChildFailed):
            await starting
        await answering
        await scorer.stop()
        spool.remove()

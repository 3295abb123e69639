"""Request bodies on disk: what arrives is counted and written as it comes, never held whole."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import Request

from aigv_reward.integrations.server.refusals import RequestRefused
from aigv_reward.integrations.server.settings import Limits


class Spool:
    """A private folder with one folder a request, and the count of all bytes in it.

    Args:
        limits: `body_bytes`, `spool_bytes`, `body_seconds`.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bytes = 0
        self.folder = Path(tempfile.mkdtemp(prefix="aigv-reward-serve-"))

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @asynccontextmanager
    async def request(self) -> AsyncIterator[RequestFolder]:
        """A folder for one request, removed with what it holds when the request ends."""
        path = Path(tempfile.mkdtemp(dir=self.folder))
        made = RequestFolder(self, path)
        try:
            yield made
        finally:
            made.give_back(made.held)
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))


class RequestFolder:
    """Where one request's files are.

    Attributes:
        path: the folder.
        bytes: how much of the request has arrived.
        held: what is counted of the folder: that, and what is made of it.
    """

    def __init__(self, spool: Spool, path: Path) -> None:
        self.spool, self.path = spool, path
        self.bytes = self.held = 0

    def hold(self, count: int) -> None:
        """Count bytes that are in the folder, or will be.

        Raises:
            RequestRefused: the spool has no room for them.
        """
        self.held += count
        self.spool.bytes += count
        if self.spool.bytes > self.spool.limits.spool_bytes:
            raise RequestRefused(
                503,
                "busy",
                f"all bodies together have {self.spool.bytes} bytes, above the limit of "
                f"{self.spool.limits.spool_bytes}; try again",
                retry_after=2,
            )

    def give_back(self, count: int) -> None:
        """Count bytes no longer."""
        self.held -= count
        self.spool.bytes -= count

    async def chunks(
        self, request: Request, *, most: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, within the limits.

        Args:
            request: whose body.
            most: bytes, where that is fewer than the limit of all bodies.

        Raises:
            RequestRefused: too long, too slow, or more than the spool has room for.
            ClientDisconnect: the client went away.
        """
        limits = self.spool.limits
        most = limits.body_bytes if most is None else min(most, limits.body_bytes)
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise _too_long(most)
        end = time.monotonic() + limits.body_seconds
        stream = aiter(request.stream())
        while True:
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise RequestRefused(
                    408,
                    "too_slow",
                    f"the body did not arrive within {limits.body_seconds:g} s; send fewer videos "
                    "at once",
                ) from None
            self.bytes += len(chunk)
            if self.bytes > most:
                raise _too_long(most)
            self.hold(len(chunk))
            yield chunk


def _too_long(most: int) -> RequestRefused:
    return RequestRefused(
        413, "too_large", f"the body is longer than {most} bytes; send fewer videos at once"
    )

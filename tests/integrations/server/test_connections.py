"""Connections that are held open for nothing, against uvicorn on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from aigv_reward.integrations.server import Limits
from aigv_reward.integrations.server.connections import AT_ONCE, bounded_protocol

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/long":
        await asyncio.sleep(0.5)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


def within(limits: Limits, use: Callable[[Callable[[], Awaitable[Line]]], Awaitable[None]]) -> None:
    async def main() -> None:
        config = uvicorn.Config(
            app, port=0, http=bounded_protocol(limits), lifespan="off", log_config=None
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server._serve())  # without its signal handlers
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            async with asyncio.timeout(30):
                await use(lambda: asyncio.open_connection("127.0.0.1", port))
        finally:
            server.should_exit = server.force_exit = True
            await serving

    asyncio.run(main())


async def ends(line: Line, data: bytes) -> bool:
    """Whether the server ends the connection while bytes are sent one at a time."""
    reader, writer = line
    answer = asyncio.create_task(reader.read())
    for byte in data:
        if answer.done():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)
    try:
        # The answer is lost where a byte meets the closed connection.
        return await answer == b"" or b" 408 " in answer.result()
    except ConnectionError:
        return True


def test_a_header_that_drips_is_given_up() -> None:
    async def use(connect: Any) -> None:
        reader, writer = await connect()
        writer.write(GET[:-2])
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"no request came within 0.3 s; send its header at once" in answer
        assert await ends(await connect(), GET[:-2] + b"a: b\r\n" * 1000)
        # Also where it is not the first one of its connection.
        reader, writer = line = await connect()
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        assert await ends(line, GET[:-2] + b"a: b\r\n" * 1000)

    within(Limits(header_seconds=0.3), use)


def test_a_body_that_nobody_reads_holds_no_connection() -> None:
    async def use(connect: Any) -> None:
        reader, writer = line = await connect()
        writer.write(GET[:-2] + b"content-length: 100000\r\n\r\n")
        await reader.readuntil(b"ok")
        assert await ends(line, bytes(5000))

    within(Limits(header_seconds=0.3), use)


def test_little_is_parsed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    receive = H11Protocol.data_received

    def noting(self: H11Protocol, data: bytes) -> None:
        sizes.append(len(data))
        receive(self, data)

    monkeypatch.setattr(H11Protocol, "data_received", noting)

    async def use(connect: Any) -> None:
        reader, writer = await connect()
        writer.write(GET[:-2] + b"content-length: 2000000\r\n\r\n" + bytes(2_000_000))
        await reader.readuntil(b"ok")
        while sum(sizes) < 2_000_000:
            await asyncio.sleep(0.01)

    within(Limits(), use)
    assert max(sizes) <= AT_ONCE


def test_a_long_answer_is_waited_for() -> None:
    async def use(connect: Any) -> None:
        reader, writer = await connect()
        for _ in range(2):
            writer.write(GET.replace(b"/", b"/long", 1))
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        # Requests that come before the answers to those before them.
        writer.write(GET.replace(b"/", b"/long", 1) * 2)
        for _ in range(2):
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")

    within(Limits(header_seconds=0.3), use)


def test_connections_are_counted_whether_or_not_they_ask() -> None:
    async def use(connect: Any) -> None:
        silent = [await connect() for _ in range(2)]
        reader, _ = await connect()
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 503 ") and b"retry-after: 1\r\n" in answer
        assert b"2 connections are open, which is the limit; try again" in answer
        silent[0][1].close()
        await silent[0][1].wait_closed()
        while True:  # until the server has noticed
            reader, writer = await connect()
            writer.write(GET)
            with suppress(ConnectionError):
                if b" 200 " in await reader.read(1000):
                    break

    within(Limits(connections=2), use)

"""A child process that is started anew when it dies, spoken to in lines of JSON."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aigv_reward.integrations.server.child_process import begin, end, ended

Message = dict[str, Any]

FIRST_DELAY, LONGEST_DELAY = 0.25, 30.0

_log = logging.getLogger("aigv_reward.server")


class ChildFailed(Exception):
    """The child says that it cannot start, and why."""


class ChildLost(Exception):
    """The child ended, or was ended, before it answered."""


class Supervised:
    """One child: calls are answered by id, a death fails what was under way and starts another.

    Restarts are spaced by 0.25 s, doubling up to 30 s until a call is answered again.

    Args:
        module: its `main` runs in the child.
        name: what logs and metrics call it.
        settings: awaited while the child imports; what it is told first.
        environment: added to this process's.
        on_restart: called with `name` each time that another child is started.
    """

    def __init__(
        self,
        module: str,
        *,
        name: str,
        settings: Callable[[], Awaitable[Message]],
        environment: dict[str, str] | None = None,
        on_restart: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.name = name
        self.facts: Message = {}
        self._module, self._settings = module, settings
        self._environment = {**os.environ, **(environment or {})}
        self._on_restart = on_restart
        self._ready = asyncio.Event()
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._ids = itertools.count()
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._delay = 0.0

    @property
    def ready(self) -> bool:
        """Whether the child has started and lives."""
        return self._ready.is_set()

    async def start(self) -> None:
        """Start the child, wait until it is ready, and watch over it from then on.

        Raises:
            ChildFailed: what it needs is missing or wrong.
        """
        process = await self._spawn()
        self._task = asyncio.create_task(self._watch(process))

    async def stop(self) -> None:
        """End the child and the watch over it."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._fail("the server stops")
        if self._process is not None:
            await end(self._process)

    async def call(self, message: Message, *, timeout: float) -> Message:
        """What the child answers; a caller that is cancelled tells it so.

        Waits for a child that is being started, as long as the caller will.

        Raises:
            ChildLost: it died, or took longer than `timeout` seconds and was killed.
        """
        await self._ready.wait()
        number = next(self._ids)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        try:
            self._send({"id": number, **message})
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            self._kill()
            raise ChildLost(f"no answer within {timeout:g} s") from None
        except asyncio.CancelledError:
            self._send({"cancel": number})
            raise
        finally:
            self._pending.pop(number, None)

    async def _spawn(self) -> Process:
        self._process = process = await begin(self._module, self._environment)
        try:
            self._send(await self._settings())
            assert process.stdout is not None
            line = await process.stdout.readline()
        except BaseException:
            self._kill()  # it has nothing to finish
            await end(process)
            raise
        first: Message = json.loads(line) if line.endswith(b"\n") else {}
        if "ready" not in first:
            await end(process)
            raise ChildFailed(first.get("failed") or f"its process {ended(process)}")
        self.facts = first["ready"]
        self._ready.set()
        return process

    async def _watch(self, process: Process) -> None:
        while True:
            await self._read(process)
            self._ready.clear()
            await end(process)
            _log.warning("child=%s %s", self.name, ended(process))
            self._fail(f"its process {ended(process)}")
            process = await self._again()

    async def _again(self) -> Process:
        while True:
            await asyncio.sleep(self._delay)
            self._delay = min(LONGEST_DELAY, 2 * self._delay or FIRST_DELAY)
            self._on_restart(self.name)
            try:
                return await self._spawn()
            except (ChildFailed, OSError) as error:
                _log.warning("child=%s not started: %s", self.name, type(error).__name__)

    async def _read(self, process: Process) -> None:
        """Hand out answers until the child ends, or says what is none."""
        assert process.stdout is not None
        try:
            while (line := await process.stdout.readline()).endswith(b"\n"):
                message: Message = json.loads(line)
                answer = self._pending.get(message.pop("id"))
                self._delay = 0.0
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except ValueError:
            self._kill()

    def _send(self, message: Message) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            assert process.stdin is not None
            process.stdin.write(json.dumps(message, allow_nan=False).encode() + b"\n")

    def _fail(self, reason: str) -> None:
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(ChildLost(reason))

    def _kill(self) -> None:
        self._ready.clear()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

"""Starting and ending one child process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Final

LONGEST_LINE: Final = 64 << 20
GRACE: Final = 5.0

# The child finds its modules where this process finds them, and never in a folder that happens
# to be the current one.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from importlib import import_module; import_module(sys.argv[2]).main()"
)


async def begin(module: str, environment: dict[str, str]) -> Process:
    """A process that runs the module's `main`, to be spoken to through its stdin and stdout."""
    here = [path or os.getcwd() for path in sys.path]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", _BOOT, json.dumps(here), module),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,  # libraries print file names and prompts there
        env=environment,
        limit=LONGEST_LINE,
        start_new_session=True,  # Ctrl-C asks the server to stop, not its children to die
    )


async def end(process: Process) -> None:
    """Close its input, which asks it to end; kill it if it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(GRACE if process.returncode is None else None):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def ended(process: Process) -> str:
    """How it ended, in words."""
    code = process.returncode
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"

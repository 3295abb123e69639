"""Who works on which shard, where several runners share a run."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType
from typing import Final

PLAN = 1 << 40
"""The byte that stands for the plan; shard k is byte k."""

NO_LOCKS: Final = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)
"""What a file system says that has none."""


class Claims:
    """Locks on the bytes of one file, which the kernel gives back when their process ends.

    Locks are a process's, and they work over NFS. Where the system or its file system has none,
    two runners do the same work twice and write the same files.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def __enter__(self) -> Claims:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._handle)

    def take(self, place: int, *, wait: bool = False) -> bool:
        """Whether the claim is this process's now."""
        try:
            import fcntl
        except ModuleNotFoundError:  # Windows
            return True
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except (BlockingIOError, PermissionError):
            return False
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        return True

    def give(self, place: int) -> None:
        """Let others have it."""
        try:
            import fcntl
        except ModuleNotFoundError:
            return
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, place)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise

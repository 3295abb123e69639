"""What a process that decodes may use, enforced by the kernel."""

from __future__ import annotations

import resource
import signal
from collections.abc import Mapping

OPEN_FILES = 64


def confine(limits: Mapping[str, int]) -> None:
    """Limit this process, for good.

    Args:
        limits: `decode_seconds` of a processor, `decode_memory` bytes beyond what the process has
            now, `file_bytes` of a file that it writes.
    """
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    seconds, written = limits["decode_seconds"], limits["file_bytes"]
    data = data_bytes() + limits["decode_memory"]
    for kind, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_CPU, seconds, seconds + 1),  # SIGXCPU, which tells; then SIGKILL
        (resource.RLIMIT_DATA, data, data),
        (resource.RLIMIT_FSIZE, written, written),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
    ):
        born = resource.getrlimit(kind)[1]
        unlimited = born == resource.RLIM_INFINITY
        resource.setrlimit(kind, (soft, hard) if unlimited else (min(soft, born), min(hard, born)))


def data_bytes() -> int:
    """What the kernel counts against RLIMIT_DATA now; 0 where it does not tell."""
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmData"))
    except (OSError, StopIteration):
        return 0
    return int(line.split()[1]) * 1024

from __future__ import annotations


def cuda_device_count() -> int:
    return 0


def is_cuda_available() -> bool:
    return cuda_device_count() > 0

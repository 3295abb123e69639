"""What one video may take before its worker is killed from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GIB: Final = 1 << 30


@dataclass(frozen=True)
class Limits:
    """What a video may take.

    Resident memory is measured, because a limit of the address space (`RLIMIT_AS`) also counts what
    torch and CUDA reserve and never touch.

    Attributes:
        item_timeout: seconds; a batch has as many times that as videos.
        item_memory: GiB by which a worker may grow beyond what it held when its model was loaded.
            Files that it maps, and shared libraries, do not count.

    Raises:
        ValueError: no time, or no memory.
    """

    item_timeout: float = 120.0
    item_memory: float = 8.0

    def __post_init__(self) -> None:
        if not self.item_timeout > 0:
            raise ValueError(f"item_timeout is {self.item_timeout}; give seconds above 0")
        if not self.item_memory > 0:
            raise ValueError(f"item_memory is {self.item_memory}; give GiB above 0")

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Resources:
    cpus: float = 1.0
    gpu_memory_gb: float = 0.0
    gpus: float = 0.0

    @property
    def requires_gpu(self) -> bool:
        return self.gpus > 0 or self.gpu_memory_gb > 0

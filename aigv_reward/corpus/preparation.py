"""The checkpoint and the workers of a run, settled before any model is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil
import torch

from aigv_reward.corpus.item_scoring import ScorerSettings
from aigv_reward.corpus.plan import files_sha256
from aigv_reward.dimensions import Dimension
from aigv_reward.model import AIGVRewardConfig
from aigv_reward.reward.checkpoint import resolve_checkpoint
from aigv_reward.reward.weighting import check_dimensions

LIBRARY_BYTES: Final = 700 << 20
"""Memory of a worker besides its weights: torch, transformers and decoded frames."""


def settings_for(
    checkpoint: str | os.PathLike[str] | None,
    device: str | None,
    dimensions: Sequence[Dimension] | None,
    clips: int,
    verify: bool,
    *,
    here: bool = True,
) -> tuple[ScorerSettings, dict[str, Any]]:
    """What scores, and what the plan says of it; `here`: whether this machine does.

    Raises:
        ValueError: no such checkpoint or device, or a dimension that it does not answer.
    """
    name = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if here:
            _check_device(torch.device(name))
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used ({reason}); try cpu") from error
    folder = checkpoint_folder(checkpoint)
    config = AIGVRewardConfig.from_pretrained(folder)
    if dimensions is not None:
        check_dimensions(dimensions, config.dimensions, "dimensions")
    names = tuple(dict.fromkeys(dimensions or config.dimensions))
    reads = any(config.prompt_format.questions[one].prompted_ids is not None for one in names)
    settings = ScorerSettings(str(folder), name, names, clips=clips, prompts=reads, verify=verify)
    facts = {
        "checkpoint": {
            "name": os.fspath(checkpoint) if checkpoint is not None else folder.name,
            "sha256": files_sha256(folder),
            "score_version": config.score_version,
            "trained": list(config.trained),
            "calibration": config.calibration,
        },
        "views": config.view_sampling.to_dict(),
        "prompts_read": reads,
    }
    return settings, facts


def _check_device(device: torch.device) -> None:
    """Have torch refuse a device that is not there; a GPU that is there is left to its worker.

    Whoever makes a tensor on a GPU holds hundreds of megabytes of it until the process ends.
    """
    if device.type != "cuda" or (device.index or 0) >= torch.cuda.device_count():
        torch.empty(0, device=device)


def worker_settings(
    settings: ScorerSettings, workers: int | str, total: int
) -> list[ScorerSettings]:
    """The settings of each worker; on several GPUs they take turns."""
    devices = torch.cuda.device_count() if settings.device == "cuda" else 1
    if not isinstance(workers, int):
        workers = devices if settings.device != "cpu" else _cpu_workers(Path(settings.checkpoint))
    count = max(1, min(workers, total))
    if devices > 1:
        return [replace(settings, device=f"cuda:{k % devices}") for k in range(count)]
    return [settings] * count


def _cpu_workers(folder: Path) -> int:
    """One a core that this process may use, as far as free memory holds their models."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    free = int(psutil.virtual_memory().available)
    return max(1, min(cores or 1, free // worker_bytes(folder)))


def worker_bytes(folder: Path) -> int:
    """Memory of a worker; weights are kept in float32, whatever the file holds."""
    return 2 * sum(path.stat().st_size for path in folder.glob("*.safetensors")) + LIBRARY_BYTES


def checkpoint_folder(checkpoint: str | os.PathLike[str] | None) -> Path:
    """The folder of a checkpoint; that of a hub id is fetched, as the caller named it.

    Raises:
        ValueError: no such checkpoint.
    """
    found = resolve_checkpoint(checkpoint)
    if Path(found).is_dir():
        return Path(found).resolve()
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors"]
    return Path(snapshot_download(found, allow_patterns=patterns))

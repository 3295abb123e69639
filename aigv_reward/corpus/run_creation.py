"""A run's folder made from a plan, or opened if its plan is the same."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aigv_reward.corpus.claims import PLAN, Claims
from aigv_reward.corpus.durable import write_whole
from aigv_reward.corpus.item import Item
from aigv_reward.corpus.plan import FORMAT, difference, digest, item_difference, item_lines
from aigv_reward.corpus.run_folder import CLAIMS_FILE, ITEMS_FILE, PLAN_FILE, SHARDS, Run


def create_run(folder: str | os.PathLike[str], plan: dict[str, Any], items: Sequence[Item]) -> Run:
    """A new run, or the one that is there if its plan is the same.

    Args:
        folder: new, empty, or a run's.
        plan: plain values; the format and the digest of the input are added here.
        items: the videos.

    Raises:
        ValueError: the folder holds something else, or a run with another plan.
        OSError: it cannot be written.
    """
    place = Path(folder)
    content = item_lines(items)
    plan = plan | {"format": FORMAT, "input": {"total": len(items), "sha256": digest(content)}}
    place.mkdir(parents=True, exist_ok=True)
    ours = {PLAN_FILE, ITEMS_FILE, CLAIMS_FILE, SHARDS}
    strangers = [p.name for p in place.iterdir() if p.name not in ours and p.suffix != ".part"]
    if strangers and not (place / PLAN_FILE).exists():
        raise ValueError(
            f"{str(folder)!r} holds {strangers[0]!r} and is no run; name a new or empty folder"
        )
    with Claims(place / CLAIMS_FILE) as claims:
        claims.take(PLAN, wait=True)
        if not (place / PLAN_FILE).exists():
            (place / SHARDS).mkdir(exist_ok=True)
            write_whole(place / ITEMS_FILE, content)
            text = json.dumps(plan, indent=1, sort_keys=True, allow_nan=False) + "\n"
            write_whole(place / PLAN_FILE, text.encode())
            return Run(place)
    run = Run(place)
    said = None
    if run.plan["input"] != plan["input"]:
        said = item_difference(run.items, items)
        said = None if said is None else f"the input: {said}"
    said = said or difference(_decisive(run.plan), _decisive(json.loads(json.dumps(plan))))
    if said is not None:
        raise ValueError(
            f"run {str(folder)!r} was planned otherwise: {said}; restore that, or name another "
            "folder"
        )
    return run


def _decisive(plan: dict[str, Any]) -> dict[str, Any]:
    """What scores depend on: not how a checkpoint is spelled, which its digest stands for."""
    checkpoint = {key: value for key, value in plan["checkpoint"].items() if key != "name"}
    return {key: value for key, value in plan.items() if key != "input"} | {
        "checkpoint": checkpoint
    }

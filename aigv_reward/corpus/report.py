"""The report of a run, or of a set that was made of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from aigv_reward.corpus.corpus_rules import CorpusRules
from aigv_reward.corpus.durable import write_whole
from aigv_reward.corpus.filtering import MANIFEST
from aigv_reward.corpus.report_page import report_page
from aigv_reward.corpus.run_folder import Run
from aigv_reward.corpus.selection import select


def write_report(folder: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the page of a finished run, or of a set that `filter_run` made; returns its path.

    Args:
        folder: of the run or the set; a set needs its run where it was.
        out: the file; one that is there is replaced.

    Raises:
        ValueError: neither a run nor a set, a set whose run is not there, or an unfinished run.
        OSError: it cannot be written.
    """
    place = Path(folder)
    if (place / MANIFEST).exists():
        manifest = _manifest(place / MANIFEST)
        run = Run(manifest["run"])
        if run.digest != manifest["plan_sha256"]:
            raise ValueError(
                f"{manifest['run']!r} is not the run that {str(place)!r} was made of; filter again"
            )
        rows = run.finished().to_pylist()
        calibration = run.plan["checkpoint"].get("calibration")
        selection = select(rows, CorpusRules.from_dict(manifest["rules"]), calibration)
    else:
        run = Run(place)
        rows = run.finished().to_pylist()
        selection = None
    write_whole(Path(out), report_page(run, rows, selection, title=place.resolve().name))
    return Path(out)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict) or not {"run", "plan_sha256", "rules"} <= manifest.keys():
        raise ValueError(
            f"{str(path.parent)!r} is no set (its {MANIFEST} is not one that aigv-reward wrote); "
            "name the folder of a run, or of a set that aigv-reward filter made"
        )
    return manifest

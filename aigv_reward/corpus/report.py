"""The report of a run, or of a set that was made of one."""

from __future__ import annotations

import json
import os
from pathlib import Path

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
        ValueError: neither a run nor a set, or an unfinished run.
        OSError: it cannot be written.
    """
    place = Path(folder)
    if (place / MANIFEST).exists():
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        run = Run(manifest["run"])
        if run.digest != manifest["plan_sha256"]:
            raise ValueError(
                f"{manifest['run']!r} is not the run that {str(place)!r} was made of; filter again"
            )
        given = {key: value for key, value in manifest["rules"].items() if key != "limits"}
        rows = run.finished().to_pylist()
        calibration = run.plan["checkpoint"].get("calibration")
        selection = select(rows, CorpusRules.from_dict(given), calibration)
    else:
        run = Run(place)
        rows = run.finished().to_pylist()
        selection = None
    write_whole(Path(out), report_page(run, rows, selection, title=place.resolve().name))
    return Path(out)

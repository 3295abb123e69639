"""A set of videos that rules keep of a run: a folder that appears at once or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from aigv_reward.corpus.corpus_rules import CorpusRules
from aigv_reward.corpus.durable import sync_folder
from aigv_reward.corpus.emit import Emit, emit_kept
from aigv_reward.corpus.records import list_columns
from aigv_reward.corpus.report_page import report_page
from aigv_reward.corpus.rows import pa, pq
from aigv_reward.corpus.run_folder import Run
from aigv_reward.corpus.selection import Selection, select

MANIFEST, REJECTED, REPORT = "manifest.json", "rejected.parquet", "report.html"


def filter_run(
    run: Run | str | os.PathLike[str],
    rules: CorpusRules,
    out: str | os.PathLike[str] | None = None,
    *,
    emit: Emit = "parquet",
    report: bool = False,
) -> Selection:
    """What the rules keep of a finished run, written to a new folder if one is named.

    The folder has the kept videos in the form that `emit` names, `rejected.parquet` with the
    reasons for every other row, and `manifest.json` with the rules, their thresholds as scores,
    and counts; with `report` also `report.html`.

    Args:
        run: whose scores are looked at; no model is loaded.
        rules: what to keep.
        out: the new folder; None for none.
        emit: see `emit_kept`.
        report: whether the folder has its report; `write_report` makes one later.

    Raises:
        ValueError: an unfinished run, rules that do not fit its scores, a folder that exists, a
            video that was changed since it was scored, or a report without a folder.
        OSError: the folder cannot be written; nothing is left of it.
    """
    scored = run if isinstance(run, Run) else Run(run)
    place = Path(out) if out is not None else None
    if place is not None and (place.exists() or place.is_symlink()):
        raise ValueError(f"{str(place)!r} exists; name a new folder for the set")
    if report and place is None:
        raise ValueError("a report is written to the set's folder; name one with out")
    calibration = scored.plan["checkpoint"].get("calibration")
    rows = scored.finished().to_pylist()
    selection = select(rows, rules, calibration)
    if place is None:
        return selection
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{place.name[:100]}.", dir=place.parent))
    try:
        items = scored.items
        kept = [(row, items[row["ordinal"]]) for row in selection.kept]
        emit_kept(kept, unfinished, emit, columns=list_columns(rows))
        pq.write_table(_rejected(selection), unfinished / REJECTED)
        manifest = _manifest(scored, rules, selection, emit)
        text = json.dumps(manifest, indent=1, allow_nan=False) + "\n"
        (unfinished / MANIFEST).write_text(text, encoding="utf-8")
        if report:
            page = report_page(scored, rows, selection, title=place.name)
            (unfinished / REPORT).write_bytes(page)
        unfinished.chmod(0o777 & ~_umask())
        _sync_all(unfinished)
        os.rename(unfinished, place)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    sync_folder(place.parent)
    return selection


def _manifest(run: Run, rules: CorpusRules, selection: Selection, emit: Emit) -> dict[str, Any]:
    by_rule = Counter(one.rule for one in selection.rejected)
    return {
        "format": 1,
        "run": str(run.folder.resolve()),
        "plan_sha256": run.digest,
        "checkpoint": {k: v for k, v in run.plan["checkpoint"].items() if k != "calibration"},
        "emit": emit,
        "rules": rules.to_dict(),
        "resolved": None if selection.resolved is None else selection.resolved.to_dict(),
        "counts": {
            "total": run.total,
            "kept": len(selection.kept),
            "rejected": len(selection.rejected),
            "rejected_by": dict(sorted(by_rule.items())),
        },
    }


def _rejected(selection: Selection) -> Any:
    names = ("row_id", "ordinal", "path", "path_bytes", "key", "prompt", "status")
    columns: dict[str, list[Any]] = {
        name: [one.row[name] for one in selection.rejected] for name in names
    }
    columns["rule"] = [one.rule for one in selection.rejected]
    columns["reasons"] = [list(one.reasons) for one in selection.rejected]
    schema = pa.schema(
        [
            ("row_id", pa.string()),
            ("ordinal", pa.int64()),
            ("path", pa.string()),
            ("path_bytes", pa.binary()),
            ("key", pa.string()),
            ("prompt", pa.string()),
            ("status", pa.string()),
            ("rule", pa.string()),
            ("reasons", pa.list_(pa.string())),
        ]
    )
    return pa.table(columns, schema=schema)


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with open(path, "rb+") as file:
                os.fsync(file.fileno())
        elif path.is_dir() and not path.is_symlink():
            sync_folder(path)
    sync_folder(folder)


def _umask() -> int:
    """This process's, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

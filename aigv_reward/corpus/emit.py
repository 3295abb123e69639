"""The videos that are kept, in the form that whoever trains on them reads."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from aigv_reward.corpus.item import Item, stamp_of
from aigv_reward.corpus.item_source import InputChangedError, content_sha256, open_item
from aigv_reward.corpus.kept_table import kept_table
from aigv_reward.corpus.records import list_columns, records_of
from aigv_reward.corpus.rows import pq

Emit = Literal["parquet", "jsonl", "videofolder", "symlink", "copy", "webdataset"]
TAR_SAMPLES: Final = 1000

Kept = Sequence[tuple[Mapping[str, Any], Item]]


def emit_kept(
    kept: Kept, folder: Path, form: Emit, *, columns: Collection[str] | None = None
) -> None:
    """Write what is kept into a folder.

    parquet and jsonl are lists; videofolder and copy copy the videos into `videos/` beside a
    `metadata.jsonl` (videofolder as `datasets` loads it), symlink links to them; webdataset packs
    them into tars.

    Args:
        kept: rows of a run with their items.
        folder: that exists.
        form: which.
        columns: of the input's lists, as `list_columns` has them; default those of what is kept.

    Raises:
        ValueError: a video that was changed since it was scored, or cannot be linked or copied.
        OSError: it cannot be written.
    """
    rows = [row for row, _ in kept]
    listed = list_columns(rows) if columns is None else columns
    records = records_of(rows, listed)
    if form == "parquet":
        table = kept_table(records, [row["path_bytes"] for row in rows], listed)
        pq.write_table(table, folder / "kept.parquet")
    elif form == "jsonl":
        (folder / "kept.jsonl").write_bytes(_lines(records))
    elif form == "webdataset":
        _tars(kept, records, folder)
    else:
        videos = folder / "videos"
        videos.mkdir()
        for record, (row, item) in zip(records, kept, strict=True):
            name = _name(row, item)
            record["file_name"] = name
            if form == "symlink":
                _link(item, videos / name)
            else:
                _copy(row, item, videos / name)
        (videos / "metadata.jsonl").write_bytes(_lines(records))


def _lines(records: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(one, allow_nan=False)}\n" for one in records).encode()


def _name(row: Mapping[str, Any], item: Item) -> str:
    """A name that no other video has, and every file system takes."""
    stem, suffix = os.path.splitext(os.path.basename(item.name))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:100].strip("._")
    suffix = suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,5}", suffix) else ".mp4"
    return f"{row['ordinal']:08d}{'-' if plain else ''}{plain}{suffix}"


def _source(row: Mapping[str, Any], item: Item) -> str | bytes:
    if item.kind == "dataset":
        raise ValueError(
            f"{item.name!r} was scored from a data set in memory; save it with save_to_disk, score "
            "the folder, or emit parquet or jsonl"
        )
    try:
        source = open_item(item)
        same = content_sha256(source) == row["content_sha256"]
    except InputChangedError:
        same = False
    except OSError as error:
        raise ValueError(
            f"{item.name!r} cannot be read ({error.strerror or error}); allow reading it, or emit "
            "parquet or jsonl"
        ) from error
    if not same:
        raise ValueError(_changed(item))
    return source


def _changed(item: Item) -> str:
    return f"{item.name!r} was changed since it was scored, or removed; score it in a new run"


def _link(item: Item, place: Path) -> None:
    if item.kind != "file":
        raise ValueError(f"{item.name!r} is no file of its own to link to; use --emit copy")
    if stamp_of(item.path) != item.stamp:  # a link is cheap: the bytes are not read
        raise ValueError(_changed(item))
    os.symlink(item.path, os.fsencode(place))


def _copy(row: Mapping[str, Any], item: Item, place: Path) -> None:
    source = _source(row, item)
    if isinstance(source, bytes):
        place.write_bytes(source)
    else:
        shutil.copyfile(source, place)


def _tars(kept: Kept, records: Sequence[Mapping[str, Any]], folder: Path) -> None:
    for start in range(0, len(kept), TAR_SAMPLES):
        path = folder / f"{start // TAR_SAMPLES:06d}.tar"
        with tarfile.open(path, "w") as tar:
            some = slice(start, start + TAR_SAMPLES)
            for (row, item), record in zip(kept[some], records[some], strict=True):
                source = _source(row, item)
                content = source if isinstance(source, bytes) else Path(source).read_bytes()
                assert hashlib.sha256(content).hexdigest() == row["content_sha256"]
                stem = f"{row['ordinal']:08d}"
                _add(tar, stem + os.path.splitext(_name(row, item))[1], content)
                _add(tar, f"{stem}.json", json.dumps(record, allow_nan=False).encode())
                if row["prompt"] is not None:
                    _add(tar, f"{stem}.txt", row["prompt"].encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))

"""The videos of a webdataset tar: files of one sample share their name up to the first dot."""

from __future__ import annotations

import json
import os
import posixpath
import tarfile
from collections.abc import Iterator
from typing import Any

from aigv_reward.corpus.folders import VIDEO_SUFFIXES
from aigv_reward.corpus.item import Item, extra_json, stamp_of

PROMPTS = ("prompt", "caption", "text")


def is_tar(name: str) -> bool:
    """Whether a name is that of a tar."""
    return name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz"))


def tar_items(name: str) -> Iterator[Item]:
    """The videos of a tar, in its order; .txt is the prompt, .json has prompt and other columns.

    Raises:
        ValueError: not an uncompressed tar, a sample with two videos, a video that is not in it as
            a whole, or a broken .json or .txt.
    """
    path = os.fsencode(os.path.abspath(name))
    stamp = stamp_of(path)
    try:
        samples, members = _samples(name)
    except (OSError, tarfile.TarError) as error:
        raise ValueError(
            f"{name!r} is no tar that can be read in place ({error}); unpack it, or make an "
            "uncompressed one"
        ) from error
    found = 0
    for sample in samples.values():
        if "video" in sample:
            member = sample.pop("video")
            cells = sample.pop("json", {})
            keys = [key for key in PROMPTS if isinstance(cells.get(key), str)]
            prompt = sample.get("txt") or (cells.pop(keys[0]) if keys else None) or None
            held = _content(members, member, name)
            found += 1
            key = f"{os.path.basename(name)}/{member.name}"
            yield Item(
                os.fsencode(key),
                "tar",
                path,
                held.offset_data,
                held.size,
                prompt,
                extra_json(cells),
                stamp,
            )
    if not found:
        raise ValueError(f"tar {name!r} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))})")


def _samples(name: str) -> tuple[dict[str, dict[str, Any]], dict[str, tarfile.TarInfo]]:
    """The samples, and all that is in the tar by its name."""
    samples: dict[str, dict[str, Any]] = {}
    members: dict[str, tarfile.TarInfo] = {}
    with tarfile.open(name, "r:") as tar:
        for member in tar:
            members[posixpath.normpath(member.name)] = member
            folder, base = os.path.split(member.name)
            stem, _, suffix = base.partition(".")
            if not (member.isreg() or member.islnk() or member.issym()) or not stem:
                continue
            sample = samples.setdefault(os.path.join(folder, stem), {})
            if f".{suffix.rpartition('.')[2].lower()}" in VIDEO_SUFFIXES:
                if "video" in sample:
                    raise ValueError(
                        f"tar {name!r}: {sample['video'].name!r} and {member.name!r} are of one "
                        "sample; give each video a name of its own up to the first dot"
                    )
                sample["video"] = member
            elif suffix in ("json", "txt"):
                sample[suffix] = _text(tar, member, name, suffix)
    return samples, members


def _content(
    members: dict[str, tarfile.TarInfo], video: tarfile.TarInfo, name: str
) -> tarfile.TarInfo:
    """The member that has the bytes of a video, which may be a link to it."""
    held, seen = video, {video.name}
    while held.islnk() or held.issym():
        folder = posixpath.dirname(held.name) if held.issym() else ""
        target = members.get(posixpath.normpath(posixpath.join(folder, held.linkname)))
        if target is None or target.name in seen:
            raise ValueError(
                f"tar {name!r}: {video.name!r} is a link to {video.linkname!r}, which is not in "
                "it; pack the file itself, as tar --dereference --hard-dereference does"
            )
        held = target
        seen.add(held.name)
    if held.issparse() or not held.isreg():
        raise ValueError(
            f"tar {name!r}: {video.name!r} is stored in parts, or is no file; pack it as a whole, "
            "without --sparse"
        )
    return held


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str, suffix: str) -> Any:
    try:
        file = tar.extractfile(member)
        if file is None:
            raise ValueError("it is no file")
        text = file.read().decode()
        if suffix == "txt":
            return text.strip() or None
        cells = json.loads(text)
        if not isinstance(cells, dict):
            raise ValueError(f"it is a {type(cells).__name__}, not an object")
        return cells
    except (ValueError, KeyError) as error:  # KeyError: a link to what is not in the tar
        raise ValueError(
            f"tar {name!r}: {member.name!r} cannot be read ({error}); repair or remove it"
        ) from error

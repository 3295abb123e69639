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
            a whole, a broken .json or .txt, or no video. Links to what is not in it are passed
            over.
    """
    path = os.fsencode(os.path.abspath(name))
    stamp = stamp_of(path)
    try:
        samples, passed_over = _samples(name)
    except (OSError, tarfile.TarError) as error:
        raise ValueError(
            f"{name!r} is no tar that can be read in place ({error}); unpack it, or make an "
            "uncompressed one"
        ) from error
    found = 0
    for sample in samples.values():
        if "video" in sample:
            member, held = sample.pop("video")
            cells = sample.pop("json", {})
            keys = [key for key in PROMPTS if isinstance(cells.get(key), str)]
            prompt = sample.get("txt") or (cells.pop(keys[0]) if keys else None) or None
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
        links = (
            f", only links such as {passed_over!r} to what is not in it; pack the files "
            "themselves, as tar --dereference --hard-dereference does"
        )
        raise ValueError(
            f"tar {name!r} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))})"
            f"{links if passed_over else ''}"
        )


def _samples(name: str) -> tuple[dict[str, dict[str, Any]], str]:
    """The samples, and a video that is passed over because it is a link to nothing in the tar.

    A video is the member that is called as it, and the one that has its bytes.
    """
    samples: dict[str, dict[str, Any]] = {}
    passed_over = ""
    with tarfile.open(name, "r:") as tar:
        files_last = sorted(tar, key=_is_link, reverse=True)  # one packed twice links to itself
        members = {posixpath.normpath(member.name): member for member in files_last}
        for member in tar:
            folder, base = os.path.split(member.name)
            stem, _, suffix = base.partition(".")
            is_video = f".{suffix.rpartition('.')[2].lower()}" in VIDEO_SUFFIXES
            if not stem or not (is_video or suffix in ("json", "txt")):
                continue
            held = _content(members, member)
            if held is None:
                if is_video and _is_link(member):
                    passed_over = passed_over or member.name
                continue
            sample = samples.setdefault(os.path.join(folder, stem), {})
            if not is_video:
                sample[suffix] = _text(tar, held, f"tar {name!r}: {member.name!r}", suffix)
                continue
            if held.issparse():
                raise ValueError(
                    f"tar {name!r}: {member.name!r} is stored in parts; pack it as a whole, "
                    "without --sparse"
                )
            other, same = sample.get("video", (member, held))
            if same is not held:
                raise ValueError(
                    f"tar {name!r}: {other.name!r} and {member.name!r} are of one sample; give "
                    "each video a name of its own up to the first dot"
                )
            sample["video"] = (member if member is held else other), held
    return samples, passed_over


def _is_link(member: tarfile.TarInfo) -> bool:
    return member.islnk() or member.issym()


def _content(
    members: dict[str, tarfile.TarInfo], member: tarfile.TarInfo
) -> tarfile.TarInfo | None:
    """The file that has the bytes of a member, which may be a link to it; None where none has."""
    held, seen = member, {member.name}
    while _is_link(held):
        folder = posixpath.dirname(held.name) if held.issym() else ""
        target = members.get(posixpath.normpath(posixpath.join(folder, held.linkname)))
        if target is None or target.name in seen:
            return None
        held = target
        seen.add(held.name)
    return held if held.isreg() else None


def _text(tar: tarfile.TarFile, held: tarfile.TarInfo, place: str, suffix: str) -> Any:
    file = tar.extractfile(held)
    assert file is not None
    try:
        text = file.read().decode()
        if suffix == "txt":
            return text.strip() or None
        cells = json.loads(text)
        if not isinstance(cells, dict):
            raise ValueError(f"it is a {type(cells).__name__}, not an object")
        return cells
    except ValueError as error:
        raise ValueError(f"{place} cannot be read ({error}); repair or remove it") from error

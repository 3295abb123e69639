"""The text prompts that videos were made from, out of a csv file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence

from aigv_reward.cli.errors import UsageError


def read_prompts(file: str, videos: Sequence[str]) -> list[str | None]:
    """The prompt of each video, None where the file has no row for it or an empty prompt.

    A row's path is a video's if it is written the same, or names the same file from the csv's
    folder or from the current one; failing these, if both lead to the same file through links.

    Args:
        file: csv with a header and the columns `path` and `prompt`; others are passed over.
        videos: paths as they will be printed.

    Raises:
        UsageError: the file cannot be read or lacks a column, a prompt is not UTF-8, or a row
            matches no video, several videos, or a video that an earlier row matched.
    """
    places: dict[str, set[int]] = {}
    targets: dict[str, set[int]] = {}
    for index, video in enumerate(videos):
        places.setdefault(os.path.abspath(video), set()).add(index)
        targets.setdefault(os.path.realpath(video), set()).add(index)
    prompts: list[str | None] = [None] * len(videos)
    lines: dict[int, int] = {}
    folder = os.path.dirname(os.path.abspath(file))
    rows = list(_rows(file))
    _check_encoding(file, rows)
    for line, path, prompt in rows:
        here, beside = os.path.abspath(path), os.path.abspath(os.path.join(folder, path))
        found = places.get(here, set()) | places.get(beside, set())
        if not found:
            found = targets.get(os.path.realpath(here), set())
            found = found | targets.get(os.path.realpath(beside), set())
        where = f"{file!r} line {line}: path {path!r}"
        if not found and not _is_utf8(path):
            raise UsageError(
                f"{where} is not UTF-8, and its bytes name no video; save the file as UTF-8"
            )
        if not found:
            raise UsageError(
                f"{where} is none of the {len(videos)} videos; remove the row, or write the path "
                f"relative to {folder!r} or as it is given to the command"
            )
        if len(found) > 1:
            names = " and ".join(repr(videos[index]) for index in sorted(found))
            raise UsageError(f"{where} may be {names}; write the absolute path of one")
        (index,) = found
        if index in lines:
            raise UsageError(f"{where} is the video of line {lines[index]} again; keep one of them")
        lines[index] = line
        prompts[index] = prompt.strip() or None
    return prompts


def _check_encoding(file: str, rows: Sequence[tuple[int, str, str]]) -> None:
    """Raise unless every prompt is UTF-8; a path may be any bytes that name a file."""
    bad = [(line, prompt) for line, _, prompt in rows if not _is_utf8(prompt)]
    if bad:
        line, prompt = bad[0]
        raise UsageError(
            f"{file!r} line {line}: the prompt {prompt[:60]!r} is not UTF-8 ({len(bad)} of "
            f"{len(rows)} rows have such prompts); save the file as UTF-8"
        )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _rows(file: str) -> Iterator[tuple[int, str, str]]:
    """(line, path, prompt) of each row."""
    try:
        with open(file, encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
            reader = csv.DictReader(opened, strict=True, restkey="")
            missing = {"path", "prompt"} - set(reader.fieldnames or ())
            if missing and not _is_utf8(",".join(reader.fieldnames or ())):
                raise UsageError(f"the first line of {file!r} is not UTF-8; save the file as UTF-8")
            if missing:
                raise UsageError(
                    f"{file!r} has no column {' and '.join(sorted(missing))}; its first line must "
                    f"name path and prompt, but is {','.join(reader.fieldnames or ())!r}"
                )
            for row in reader:
                if "" in row or None in row.values():
                    raise UsageError(
                        f"{file!r} line {reader.line_num}: the row has not as many cells as the "
                        "header; put a prompt that holds a comma in double quotes"
                    )
                yield reader.line_num, row["path"], row["prompt"]
    except OSError as error:
        raise UsageError(
            f"prompts file {file!r} cannot be read ({error.strerror}); give a csv file with the "
            "columns path and prompt"
        ) from error
    except csv.Error as error:
        raise UsageError(
            f"{file!r} is no csv file ({error}); write one row path,prompt a line"
        ) from error

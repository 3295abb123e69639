"""Published benchmarks, each read from its folder as its authors ship it.

Their ratings are named by this package's dimensions where they have a counterpart:

| | technical | motion | semantic | overall |
| --- | --- | --- | --- | --- |
| T2VQA-DB, 0..100 | | | | MOS |
| Q-Eval-Video, 1..5 | | | | MOS of quality |
| VideoFeedback, 1..4 | visual quality | temporal consistency | text-to-video alignment | |
| VideoGen-RewardBench | VQ | MQ | TA | Overall |

`semantic` is what the frames show, which takes in whether it fits the prompt: text alignment is the
nearest rating and narrower. VideoFeedback's dynamic degree and factual consistency are parts of
dimensions that have a nearer rating and are left out, and nothing is averaged into `overall`.
Scales stay the benchmarks' own.

Only VideoGen-RewardBench says which model made a video, so only there are results split by
generator. A video that is not in the folder stays on the list and fails when it is read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from aigv_reward.dimensions import Dimension
from aigv_reward.training.list_rows import read_rows
from aigv_reward.training.lists import read_opinions, read_preferences
from aigv_reward.training.opinions import Opinion, Preference

Folder = str | os.PathLike[str]
Split = Literal["train", "test"]

VIDEO_FEEDBACK_RATINGS: Final[Mapping[Dimension, str]] = {
    "technical": "visual quality",
    "motion": "temporal consistency",
    "semantic": "text-to-video alignment",
}


def read_t2vqa_db(folder: Folder) -> list[Opinion]:
    """T2VQA-DB: `info.txt` with lines `filename|prompt|mos`, and the videos.

    The videos lie beside `info.txt` or in a folder beside it, as the archive unpacks.

    Raises:
        ValueError: no `info.txt`, no videos, or a malformed line.

    References: Kou et al., arXiv 2403.11956; github.com/QMME/T2VQA.
    """
    videos = _Videos(folder)
    opinions = read_opinions(_file(folder, "info.txt"), root="")
    return [replace(one, path=videos.at(one.path)) for one in opinions]


def read_q_eval_video(folder: Folder) -> list[Opinion]:
    """Q-Eval-Video, as NTIRE 2025 XGC track 2 hands it out: a list with scores, and the videos.

    The list is JSON, objects with `video`, `prompt` and `gt_score`, or text with lines
    `filename|prompt|mos`. Its authors publish the scores of the training videos only; name the
    list itself where the folder holds several.

    Args:
        folder: the folder, or the list in it.

    Raises:
        ValueError: no list or several, a list without scores, or no videos.

    References: Zhang et al., arXiv 2503.02357; github.com/zzc-1998/Q-Eval.
    """
    source = Path(folder)
    if source.is_dir():
        lists = sorted([*source.glob("*.json"), *source.glob("*.txt")])
        if len(lists) > 1:
            lists = [one for one in lists if "train" in one.stem.lower()]
        if len(lists) != 1:
            raise ValueError(
                f"folder {str(source)!r} holds {len(lists)} lists that may be Q-Eval-Video's "
                f"({', '.join(one.name for one in lists) or 'no .json, no .txt'}); name the list "
                "in place of the folder"
            )
        source = lists[0]
    videos = _Videos(source.parent)
    if source.suffix.lower() == ".json":
        opinions = list(_q_eval_opinions(source))
    else:
        opinions = read_opinions(source, root="")
    return [replace(one, path=videos.at(one.path)) for one in opinions]


def read_video_feedback(folder: Folder, *, split: Split = "test") -> list[Opinion]:
    """VideoFeedback: `annotated/` and `real/` with `SPLIT-*.parquet`, and the videos as `ID.mp4`.

    The videos may lie anywhere in the folder: those of `videos_annotated_test.zip` and its like,
    or the tree of hexuan21/VideoFeedback-videos-mp4. Single frames are no videos and are not read.

    Args:
        folder: a copy of TIGER-Lab/VideoFeedback, whole or the split alone.
        split: "test" (680 generated and 80 real videos) or "train".

    Raises:
        ValueError: no parquet files of the split, no videos, or a malformed row.
        ModuleNotFoundError: `datasets`, which reads parquet, is not installed.

    References: He et al., arXiv 2406.15252; huggingface.co/datasets/TIGER-Lab/VideoFeedback.
    """
    files = [
        file
        for subset in ("annotated", "real")
        for file in sorted(Path(folder, subset).glob(f"{split}-*.parquet"))
    ]
    if not files:
        raise ValueError(
            f"folder {str(folder)!r} holds no annotated/{split}-*.parquet and no "
            f"real/{split}-*.parquet; give a copy of TIGER-Lab/VideoFeedback"
        )
    videos = _Videos(folder)
    found = []
    for file in files:
        for row in read_rows(file):
            cells = row.cells
            _require(cells, ("id", "text prompt", *VIDEO_FEEDBACK_RATINGS.values()), row.place)
            scores = {
                name: _number(cells[rating], f"{row.place}: {rating}")
                for name, rating in VIDEO_FEEDBACK_RATINGS.items()
            }
            path = videos.at(Path(f"{cells['id']}.mp4"))
            found.append(Opinion(path, cells["text prompt"] or None, scores))
    return found


def read_video_gen_reward_bench(folder: Folder) -> list[Preference]:
    """VideoGen-RewardBench: `videogen-rewardbench.csv`, and `videos.zip` unpacked beside it.

    Raises:
        ValueError: no such csv, no videos, or a malformed row.

    References: Liu et al., arXiv 2501.13918;
    huggingface.co/datasets/KlingTeam/VideoGen-RewardBench.
    """
    columns = {"technical": "VQ", "motion": "MQ", "semantic": "TA", "overall": "Overall"}
    source = _file(folder, "videogen-rewardbench.csv")
    videos = _Videos(folder)
    pairs = read_preferences(source, root="", columns=columns)
    return [
        replace(pair, path_a=videos.at(pair.path_a), path_b=videos.at(pair.path_b))
        for pair in pairs
    ]


READERS: Final[dict[str, Callable[[Folder], Sequence[Opinion] | Sequence[Preference]]]] = {
    "t2vqa-db": read_t2vqa_db,
    "q-eval-video": read_q_eval_video,
    "video-feedback": read_video_feedback,
    "video-gen-reward-bench": read_video_gen_reward_bench,
}
"""By the names of the command line."""


class _Videos:
    """The videos of a folder, found by the path a list gives them or by their name alone."""

    def __init__(self, folder: Folder) -> None:
        self.folder = Path(folder)
        self.named: dict[str, list[Path]] = {}
        for file in sorted(self.folder.rglob("*.mp4")):
            self.named.setdefault(file.name, []).append(file)
        if not self.named:
            raise ValueError(
                f"folder {str(self.folder)!r} holds no .mp4; unpack the benchmark's videos into it"
            )

    def at(self, path: Path) -> Path:
        """Where the video is; where the list says, if it is nowhere or in several places."""
        listed = self.folder / path
        candidates = self.named.get(path.name, [])
        return candidates[0] if len(candidates) == 1 and listed not in candidates else listed


def _q_eval_opinions(source: Path) -> Iterator[Opinion]:
    try:
        entries = json.loads(source.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ValueError(f"list {str(source)!r} is no JSON ({error})") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"list {str(source)!r} is no JSON list of videos")
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        place = f"{str(source)!r} entry {number}"
        if not isinstance(entry, dict):
            raise ValueError(f"{place} is a JSON {type(entry).__name__}; it must be an object")
        if "gt_score" not in entry:
            raise ValueError(
                f"{place} has no gt_score; Q-Eval-Video's authors publish the scores of the "
                "training videos only, so name the training list"
            )
        _require(entry, ("video", "prompt"), place)
        if not isinstance(entry["video"], str):
            raise ValueError(f"{place}: video is {entry['video']!r}, not a file name")
        if entry["video"] in seen:
            raise ValueError(f"{place}: {entry['video']!r} stands twice; keep one")
        seen.add(entry["video"])
        score = _number(entry["gt_score"], f"{place}: gt_score")
        yield Opinion(Path(entry["video"]), entry["prompt"] or None, {"overall": score})


def _file(folder: Folder, name: str) -> Path:
    path = Path(folder, name)
    if not path.is_file():
        raise ValueError(
            f"folder {str(folder)!r} holds no {name}; give the folder that the benchmark's "
            "archive unpacks to"
        )
    return path


def _require(cells: Mapping[str, Any], names: tuple[str, ...], place: str) -> None:
    missing = [name for name in names if name not in cells]
    if missing:
        raise ValueError(f"{place} has no {' and no '.join(missing)}; there are {', '.join(cells)}")


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{what} is {value!r}, not a finite number")
    return float(value)

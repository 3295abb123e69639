"""Pairs of videos of which one was preferred, for direct preference optimisation."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import Dataset

from aigv_reward.integrations.finetune.list_rows import check_columns, check_prompt, read_list

SIDES = ("chosen", "rejected")
LATENTS = (".safetensors", ".pt", ".pth")

Kind = Literal["videos", "latents"]


class PreferenceDataset(Dataset[dict[str, Any]]):
    """Rows {"prompt", "chosen", "rejected", ...}; `read_preferences` makes it.

    Attributes:
        kind: "videos" where the sides are paths of videos; "latents" where they are tensors,
            loaded when their row is read.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], *, kind: Kind) -> None:
        self.rows, self.kind = rows, kind

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = dict(self.rows[index])
        if self.kind == "latents":
            for side in SIDES:
                if not isinstance(row[side], Tensor):
                    row[side] = load_latents(row[side])
            chosen, rejected = (tuple(row[side].shape) for side in SIDES)
            if chosen != rejected:
                raise ValueError(
                    f"row {index}: the chosen latents have shape {chosen} and the rejected "
                    f"{rejected}; the same noise is added to both, so they must be alike"
                )
        return row


def read_preferences(
    source: Any, *, root: str | os.PathLike[str] | None = None
) -> PreferenceDataset:
    """The pairs of a file, a `datasets.Dataset` or a list of mappings.

    Args:
        source: a path to .csv or .jsonl, a `datasets.Dataset`, or a list of mappings, with the
            columns prompt, chosen and rejected and perhaps margin. The sides are all paths of
            videos, or all latents: paths to .safetensors or .pt files of one tensor each, or
            tensors. Other columns are kept as they are.
        root: folder that paths are relative to; None: the file's own, or the working folder.

    Returns:
        rows with paths as text, latents as tensors, and the margin, if any, as a number.

    Raises:
        ValueError: no pairs, a row that is empty, malformed, without a prompt or a side, with
            other columns than the first, whose file does not exist, that compares a file with
            itself or whose margin is not a finite number, or videos mixed with latents, with its
            line; or, when a row is read, latents that cannot be loaded or differ in shape.
    """
    folder = Path(root) if root is not None else Path()
    if isinstance(source, str | os.PathLike):
        folder = folder if root is not None else Path(source).parent
        placed = read_list(source, text=False)
    elif isinstance(source, Sequence) or hasattr(source, "column_names"):
        placed = [(f"row {index}", _row(index, row)) for index, row in enumerate(_paths(source))]
    else:
        raise ValueError(
            f"preferences are a {type(source).__name__}; give a path, a list or a datasets.Dataset"
        )
    if not placed:
        raise ValueError("there are no pairs; give at least one")
    check_columns(placed)
    rows, kinds = [], []
    for place, row in placed:
        check_prompt(place, row)
        sides = {side: _side(place, side, row.get(side), folder) for side in SIDES}
        if sides["chosen"] is sides["rejected"] or (
            isinstance(sides["chosen"], str) and sides["chosen"] == sides["rejected"]
        ):
            raise ValueError(f"{place}: {row['chosen']!r} is compared with itself; remove the row")
        margin = {"margin": _margin(place, row["margin"])} if "margin" in row else {}
        rows.append({**row, **sides, **margin})
        kinds += [(place, side, _kind(value)) for side, value in sides.items()]
    kind = kinds[0][2]
    for place, side, other in kinds:
        if other != kind:
            raise ValueError(
                f"{place}: {side} is of the kind {other}, the first row's of {kind}; give one kind"
            )
    return PreferenceDataset(rows, kind=kind)


def load_latents(path: str | os.PathLike[str]) -> Tensor:
    """The one tensor of a .safetensors or .pt file, on the CPU; nothing in it is executed.

    Raises:
        ValueError: a file that cannot be read, or holds something else than one tensor.
    """
    name = repr(str(path))
    try:
        if Path(path).suffix.lower() == ".safetensors":
            held: Any = load_file(path)
        else:
            held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle may raise anything; the cause is kept
        raise ValueError(f"latents {name} cannot be read: {error}") from error
    if isinstance(held, Mapping) and len(held) == 1:
        held = next(iter(held.values()))
    if not isinstance(held, Tensor):
        inside = ", ".join(map(str, held)) if isinstance(held, Mapping) else type(held).__name__
        raise ValueError(f"latents {name} hold {inside}; save one tensor a file")
    return held


def _paths(source: Any) -> Any:
    """A `datasets.Dataset` with videos as paths, not decoded frames."""
    if hasattr(source, "column_names"):
        from datasets import Video  # whoever made a Dataset has it

        for column, feature in source.features.items():
            if isinstance(feature, Video):
                source = source.cast_column(column, Video(decode=False))
    return source


def _row(index: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise ValueError(f"row {index} is a {type(row).__name__}; give a mapping")
    return dict(row)


def _side(place: str, side: str, value: Any, folder: Path) -> str | Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):  # a datasets.Video
        value = value.get("path")
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise ValueError(f"{place}: {side} is {value!r}; give the path of a video or of latents")
    path = folder / value
    if not path.is_file():
        raise ValueError(
            f"{place}: {side} {str(path)!r} does not exist; paths are relative to {str(folder)!r}"
        )
    return str(path)


def _kind(side: str | Tensor) -> Kind:
    if isinstance(side, Tensor) or Path(side).suffix.lower() in LATENTS:
        return "latents"
    return "videos"


def _margin(place: str, value: Any) -> float:
    try:
        margin = float(value)
    except (TypeError, ValueError):
        margin = math.nan
    if not math.isfinite(margin):
        raise ValueError(f"{place}: margin is {value!r}; give a finite number")
    return margin

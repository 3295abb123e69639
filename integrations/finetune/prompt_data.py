"""Prompts to train on, with whatever else a pipeline is given beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps, UnidentifiedImageError
from torch.utils.data import Dataset

from aigv_reward.integrations.finetune.list_rows import check_columns, check_prompt, read_list

IMAGES = ("image", "last_image")  # what diffusers' image-to-video pipelines call their pictures


class PromptDataset(Dataset[dict[str, Any]]):
    """Rows {"prompt": text, column: value, ...}; `read_prompts` makes it.

    Args:
        rows: with "prompt"; a list or a `datasets.Dataset`.
        root: folder that paths of images are relative to.
        images: columns whose paths are opened when their row is read.
    """

    def __init__(self, rows: Any, *, root: Path, images: Sequence[str]) -> None:
        self.rows, self.root, self.images = rows, root, tuple(images)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = dict(self.rows[index])
        for column in self.images:
            if isinstance(row.get(column), str | os.PathLike):
                row[column] = _opened(self.root / row[column])
        return row


def read_prompts(
    source: Any,
    *,
    root: str | os.PathLike[str] | None = None,
    images: Sequence[str] = IMAGES,
) -> PromptDataset:
    """The prompts of a file, a `datasets.Dataset` or a list, as a map-style data set.

    Args:
        source: a path to .txt (a prompt a line), .csv or .jsonl with a column "prompt"; a
            `datasets.Dataset` with one; or a list of texts or mappings. The other columns are kept
            as they are; cells of .csv are text. A prompt may occur more than once.
        root: folder that paths of images are relative to; None: the file's own, or the working
            folder.
        images: columns that hold images for image-to-video: paths, opened as RGB when the row is
            read and turned as their EXIF says, or PIL images.

    Raises:
        ValueError: no rows, a row that is empty, malformed, without a prompt, with other columns
            than the first or whose image does not exist, with its line; or, when a row is read, a
            file that is no image.
    """
    folder = Path(root) if root is not None else Path()
    if isinstance(source, str | os.PathLike):
        folder = folder if root is not None else Path(source).parent
        placed = read_list(source, text=True)
    elif hasattr(source, "column_names"):
        return PromptDataset(_checked_dataset(source, folder, images), root=folder, images=images)
    elif isinstance(source, Sequence):
        placed = [(f"row {index}", _row(index, row)) for index, row in enumerate(source)]
    else:
        raise ValueError(
            f"prompts are a {type(source).__name__}; give a path, a list or a datasets.Dataset"
        )
    if not placed:
        raise ValueError("there are no prompts; give at least one")
    for place, row in placed:
        check_prompt(place, row)
    check_columns(placed)
    for place, row in placed:
        for column in images:
            if column in row:
                _check_image(place, column, row[column], folder)
    return PromptDataset([row for _, row in placed], root=folder, images=images)


def _checked_dataset(dataset: Any, folder: Path, images: Sequence[str]) -> Any:
    """Reads only the columns that are checked; images that datasets decodes stay as they are."""
    columns = dataset.column_names
    if not hasattr(dataset, "__len__"):
        raise ValueError(
            f"prompts are a {type(dataset).__name__}, which has no length; give a datasets.Dataset"
        )
    if isinstance(columns, Mapping):
        raise ValueError(f"the data set holds several splits; give one of {', '.join(columns)}")
    if "prompt" not in columns:
        raise ValueError(f"the data set has no column prompt; there are {', '.join(columns)}")
    if not len(dataset):
        raise ValueError("there are no prompts; give at least one")
    for index, prompt in enumerate(dataset["prompt"]):
        check_prompt(f"row {index}", {"prompt": prompt})
    for column in images:
        if column in columns and getattr(dataset.features[column], "dtype", None) == "string":
            for index, value in enumerate(dataset[column]):
                _check_image(f"row {index}", column, value, folder)
    return dataset


def _row(index: int, row: Any) -> dict[str, Any]:
    if isinstance(row, str):
        return {"prompt": row}
    if not isinstance(row, Mapping):
        raise ValueError(f"row {index} is a {type(row).__name__}; give text or a mapping")
    return dict(row)


def _check_image(place: str, column: str, value: Any, folder: Path) -> None:
    if isinstance(value, Image.Image):
        return
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise ValueError(f"{place}: {column} is {value!r}; give the path of an image")
    if not (folder / value).is_file():
        raise ValueError(
            f"{place}: {column} {str(folder / value)!r} does not exist; paths are relative to "
            f"{str(folder)!r}"
        )


def _opened(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as an image: {error}") from error


class Numbered(Dataset[Mapping[str, Any]]):
    """Rows with their number, which the seeds of their videos follow from."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return {**self.rows[index], "index": index}

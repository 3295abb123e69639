from __future__ import annotations

import pathlib
from dataclasses import dataclass, field
from uuid import UUID


@dataclass
class Clip:
    uuid: UUID
    source_video: str
    span: tuple[float, float]
    buffer: bytes | None = None
    errors: dict[str, str] = field(default_factory=dict)


@dataclass
class Video:
    input_video: pathlib.Path
    clips: list[Clip] = field(default_factory=list)
    filtered_clips: list[Clip] = field(default_factory=list)


@dataclass
class VideoTask:
    dataset_name: str
    data: Video

"""The header of a safetensors body, checked before anything it declares is allocated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from aigv_reward.integrations.server.refusals import RequestRefused
from aigv_reward.integrations.server.sent_json import read_json
from aigv_reward.integrations.server.settings import Limits

REQUEST_KEY: Final = "aigv_reward"
"""Name of the request's JSON among the header's metadata."""

PREFIX: Final = 8


@dataclass(frozen=True)
class TensorPlace:
    """Where one video's frames are.

    Attributes:
        offset: of the first byte in the file.
        shape: (T, H, W, 3).
    """

    offset: int
    shape: tuple[int, int, int, int]


@dataclass(frozen=True)
class TensorHeader:
    """What a body declares.

    Attributes:
        request: the JSON text in the metadata.
        places: {name: where its frames are}.
        size: bytes of the whole body.
    """

    request: str
    places: dict[str, TensorPlace]
    size: int


def header_size(prefix: bytes, limits: Limits) -> int:
    """How long prefix and header are together.

    Args:
        prefix: the first 8 bytes.
        limits: `json_bytes` bounds the header.

    Raises:
        RequestRefused: longer than that.
    """
    declared = int.from_bytes(prefix[:PREFIX], "little")
    if declared > limits.json_bytes:
        raise refused(f"its header declares {declared} bytes, above {limits.json_bytes}")
    return PREFIX + declared


def parse_header(data: bytes, limits: Limits) -> TensorHeader:
    """The header, every number of it checked against the limits and against each other.

    Args:
        data: prefix and header, `header_size` bytes.
        limits: `body_bytes`, `items`, `frame_pixels`, `video_pixels`.

    Raises:
        RequestRefused: not a safetensors header, no request in its metadata, a tensor that is not
            uint8 (T, H, W, 3), overlaps another, or is too large.
    """
    try:
        declared = read_json(data[PREFIX:])
    except ValueError as error:
        raise refused(f"its header is {error}") from None
    if not isinstance(declared, dict):
        raise refused("its header is no JSON object")
    metadata = declared.pop("__metadata__", None)
    request = metadata.get(REQUEST_KEY) if isinstance(metadata, dict) else None
    if not isinstance(request, str):
        raise refused(f"its metadata has no text {REQUEST_KEY!r} with the request's JSON")
    if len(declared) > limits.items:
        raise RequestRefused(
            413,
            "too_large",
            f"{len(declared)} tensors, above the limit of {limits.items}; send fewer at once",
        )
    ends: list[tuple[int, int]] = []
    places = {}
    for name, entry in declared.items():
        shape, start, end = _entry(name, entry, limits)
        places[name] = TensorPlace(len(data) + start, shape)
        ends.append((start, end))
    reached = 0
    for start, end in sorted(ends):
        if start != reached:
            raise refused("its tensors overlap or leave gaps")
        reached = end
    size = len(data) + reached
    if size > limits.body_bytes:
        raise RequestRefused(
            413,
            "too_large",
            f"its header declares {size} bytes, above the limit of {limits.body_bytes}; send fewer "
            "videos at once",
        )
    return TensorHeader(request, places, size)


def _entry(name: str, entry: Any, limits: Limits) -> tuple[tuple[int, int, int, int], int, int]:
    fields: dict[str, Any] = entry if isinstance(entry, dict) else {}
    shape: Any = fields.get("shape")
    offsets: Any = fields.get("data_offsets")
    if fields.get("dtype") != "U8" or not _counts(shape, 4) or shape[3] != 3:
        raise refused(f"tensor {name[:80]!r} is not U8 of shape [T, H, W, 3]")
    if not all(shape):
        raise refused(f"tensor {name[:80]!r} of shape {shape} holds no pixels")
    if not _counts(offsets, 2) or offsets[1] - offsets[0] != math.prod(shape):
        raise refused(f"the offsets of tensor {name[:80]!r} do not fit its shape {shape}")
    frames, height, width, _ = shape
    if height * width > limits.frame_pixels or frames * height * width > limits.video_pixels:
        raise RequestRefused(
            413,
            "too_large",
            f"tensor {name[:80]!r} of shape {shape} is above the limit of {limits.frame_pixels} "
            f"pixels a frame or {limits.video_pixels} a video; scale it down or send fewer frames",
        )
    return (frames, height, width, 3), offsets[0], offsets[1]


def _counts(value: Any, length: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == length
        and all(type(one) is int and 0 <= one < 1 << 62 for one in value)
    )


def refused(reason: str) -> RequestRefused:
    """What a malformed body is answered."""
    return RequestRefused(
        422,
        "invalid_tensors",
        f"the safetensors body cannot be used: {reason}",
    )

"""Which frames and pixels of a video the model sees, as configuration."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from aigv_reward.video.indices import FrameSampling
from aigv_reward.views.resize import INTERPOLATIONS, Interpolation


@dataclass(frozen=True, kw_only=True)
class ViewSampling:
    """How the three views of a video are sampled; everything here changes scores.

    Attributes:
        key_frames: the frames that the semantic tower sees.
        key_size: side of the key frames in pixels.
        fragments: the frames that patches are taken from; None: the key frames' own.
        grid: cells along each side of the fragments.
        patch: side of a patch in pixels.
        fast: the frames that the motion pathway sees.
        fast_size: side of the fast clip in pixels.
        interpolation: "bilinear" (antialiased) or "nearest".
        mean: of R, G, B on the 0..255 scale, subtracted from every view.
        std: of R, G, B on the 0..255 scale, which every view is divided by.

    Raises:
        ValueError: a size is below 1, the interpolation is unknown, or mean and std are not
            three numbers each, std positive.
    """

    key_frames: FrameSampling
    key_size: int
    fragments: FrameSampling | None
    grid: int
    patch: int
    fast: FrameSampling
    fast_size: int
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)

    def __post_init__(self) -> None:
        for name in ("key_size", "grid", "patch", "fast_size"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"unknown interpolation {self.interpolation!r}; "
                f"choose {' or '.join(INTERPOLATIONS)}"
            )
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(
                f"mean {self.mean} and std {self.std} must be three numbers each (R, G, B on the "
                "0..255 scale), std positive"
            )

    @classmethod
    def published(cls) -> "ViewSampling":
        """The sampling of the published checkpoints; it ignores fps.

        References: arXiv 2506.04715, section 3.
        """
        return cls(
            key_frames=FrameSampling(8, stride=2, short="wrap"),
            key_size=224,
            fragments=None,
            grid=7,
            patch=32,
            fast=FrameSampling(32),
            fast_size=224,
            interpolation="nearest",
        )

    @property
    def needs_fps(self) -> bool:
        """Whether any view is sampled by time, so that frames without a rate are refused."""
        samplings = (self.key_frames, self.fragments, self.fast)
        return any(s is not None and s.seconds is not None for s in samplings)

    def to_dict(self) -> dict[str, Any]:
        """The sampling as nested dictionaries, lists and numbers, ready for JSON."""
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ViewSampling":
        """The sampling that `to_dict` wrote.

        Raises:
            ValueError: a key is unknown or a required one is missing.
        """
        values = dict(values)
        _check_keys(cls, values)
        for name in ("key_frames", "fragments", "fast"):
            if values[name] is not None:
                _check_keys(FrameSampling, values[name])
                values[name] = FrameSampling(**values[name])
        for name in {"mean", "std"} & values.keys():
            values[name] = tuple(values[name])
        return cls(**values)


@dataclass(frozen=True)
class FramePlan:
    """The frames of one video that each view takes.

    Attributes:
        key_frames: (N,) int64 source frame numbers.
        fragments: (M,) int64 likewise.
        fast: (F,) int64 likewise.
    """

    key_frames: Tensor
    fragments: Tensor
    fast: Tensor

    def union(self) -> list[int]:
        """Every frame that some view takes, sorted, once."""
        return sorted({*self.key_frames.tolist(), *self.fragments.tolist(), *self.fast.tolist()})

    def shifted(self, start: int) -> "FramePlan":
        """The same frames of a window that begins at source frame `start`."""
        return FramePlan(self.key_frames + start, self.fragments + start, self.fast + start)


def frame_plan(
    num_frames: int,
    sampling: ViewSampling,
    *,
    fps: float | None = None,
    generator: torch.Generator | None = None,
) -> FramePlan:
    """The frames that each view takes of a video.

    Args:
        num_frames: length of the video, >= 1.
        sampling: the configuration.
        fps: frames a second; required where `sampling.needs_fps`, else ignored.
        generator: draws where bursts begin; None: always the same frames.

    Returns:
        The plan, on the CPU.

    Raises:
        ValueError: the video is empty, or fps is needed and missing.
    """
    key_frames = sampling.key_frames.indices(num_frames, fps=fps, generator=generator)
    fragments = key_frames
    if sampling.fragments is not None:
        fragments = sampling.fragments.indices(num_frames, fps=fps, generator=generator)
    fast = sampling.fast.indices(num_frames, fps=fps, generator=generator)
    return FramePlan(key_frames, fragments, fast)


def _check_keys(cls: type, values: Mapping[str, Any]) -> None:
    known = {field.name for field in fields(cls)}
    required = {field.name for field in fields(cls) if field.default is MISSING}
    if unknown := sorted(values.keys() - known):
        raise ValueError(
            f"{cls.__name__} has no {', '.join(unknown)}; its keys are {', '.join(sorted(known))}"
        )
    if missing := sorted(required - values.keys()):
        raise ValueError(f"{cls.__name__} needs {', '.join(missing)}")

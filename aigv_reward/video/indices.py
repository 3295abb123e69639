"""Which frames of a video a view takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor

Short = Literal["wrap", "repeat"]

SHORT_POLICIES: Final[tuple[Short, ...]] = get_args(Short)


@dataclass(frozen=True)
class FrameSampling:
    """A rule that turns a video's length into frame indices.

    With neither `stride` nor `seconds` the samples spread over the whole video, first and last
    frame included. With one of them the samples form `bursts` groups of regularly spaced frames;
    one burst lies in the middle of the video, several start at equal distances from the first
    possible start to the last.

    Attributes:
        num_frames: samples in all, at least 1.
        bursts: groups the samples are split into; divides `num_frames`, 1 when spreading.
        stride: distance in frames between the samples of a burst; ignores the frame rate.
        seconds: distance in seconds between the samples of a burst, rounded to the nearest frame,
            so that samples repeat where the video has fewer frames than asked for. Needs `fps`.
        short: what stands in for frames beyond the end: "repeat" the last one, or "wrap" around to
            the first.

    Raises:
        ValueError: a field out of its range, or fields that exclude each other.
    """

    num_frames: int
    bursts: int = 1
    stride: int | None = None
    seconds: float | None = None
    short: Short = "repeat"

    def __post_init__(self) -> None:
        if self.num_frames < 1:
            raise ValueError(f"num_frames is {self.num_frames}; at least 1 frame must be sampled")
        if self.bursts < 1 or self.num_frames % self.bursts:
            raise ValueError(
                f"bursts is {self.bursts}; it must be at least 1 and divide num_frames, "
                f"which is {self.num_frames}"
            )
        if self.stride is not None and self.seconds is not None:
            raise ValueError(
                f"stride={self.stride} and seconds={self.seconds} exclude each other; set one"
            )
        if self.stride is not None and self.stride < 1:
            raise ValueError(f"stride is {self.stride}; it must be at least 1 frame")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds is {self.seconds}; it must be positive and finite")
        if self.bursts > 1 and self.stride is None and self.seconds is None:
            raise ValueError(
                f"bursts is {self.bursts} but samples spread over the whole video form no bursts; "
                "set stride or seconds, or bursts=1"
            )
        if self.short not in SHORT_POLICIES:
            raise ValueError(
                f"short is {self.short!r}; it must be one of {', '.join(SHORT_POLICIES)}"
            )

    @property
    def needs_fps(self) -> bool:
        """Whether `indices` must be told the frame rate."""
        return self.seconds is not None

    def indices(
        self,
        num_frames: int,
        *,
        fps: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The frames to take from a video, as indices in presentation order.

        Args:
            num_frames: T, the length of the video, at least 1.
            fps: frames per second of the video; read only when the samples are spaced by time.
            generator: draws where each burst starts, uniformly over the starts that fit; bursts
                stay in temporal order. None centres one burst and spaces several evenly. Samples
                that spread over the whole video do not move.

        Returns:
            (self.num_frames,) long, values 0..T-1; they may repeat.

        Raises:
            ValueError: the video has no frames, or the samples are spaced by time and fps is
                missing or not positive.
        """
        if num_frames < 1:
            raise ValueError(f"the video has {num_frames} frames; at least 1 is needed")
        offsets = self._offsets(fps)
        if offsets is None:
            return self._spread(num_frames)
        # the last sample of a burst can start no later than this
        room = max(num_frames - 1 - offsets[-1], 0)
        wanted = [start + offset for start in self._starts(room, generator) for offset in offsets]
        return self._fold(wanted, num_frames)

    def _offsets(self, fps: float | None) -> list[int] | None:
        samples = range(self.num_frames // self.bursts)
        if self.stride is not None:
            return [k * self.stride for k in samples]
        if self.seconds is None:
            return None
        if fps is None or not 0 < fps < math.inf:
            raise ValueError(
                f"fps is {fps} but frames are sampled every {self.seconds} s; "
                "pass the video's positive frame rate"
            )
        return [math.floor(k * self.seconds * fps + 0.5) for k in samples]

    def _starts(self, room: int, generator: torch.Generator | None) -> list[int]:
        if generator is not None:
            drawn = torch.randint(
                room + 1, (self.bursts,), generator=generator, device=generator.device
            )
            return sorted(drawn.tolist())
        if self.bursts == 1:
            return [room // 2]
        return [j * room // (self.bursts - 1) for j in range(self.bursts)]

    def _spread(self, num_frames: int) -> Tensor:
        if num_frames < self.num_frames:
            return self._fold(list(range(self.num_frames)), num_frames)
        # integers: the same as floor(linspace(0, T - 1, n)) without its rounding
        last = max(self.num_frames - 1, 1)
        return torch.tensor([k * (num_frames - 1) // last for k in range(self.num_frames)])

    def _fold(self, wanted: list[int], num_frames: int) -> Tensor:
        if self.short == "wrap":
            return torch.tensor([index % num_frames for index in wanted])
        return torch.tensor([min(index, num_frames - 1) for index in wanted])

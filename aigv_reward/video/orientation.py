"""How a display matrix turns and mirrors frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from aigv_reward.video.source import Source
from aigv_reward.video.video import VideoDecodeError

_TOLERANCE: Final = 0.02


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a picture on a rectangle.

    Attributes:
        transposed: rows and columns are exchanged first.
        flipped: rows run bottom up, after that.
        mirrored: columns run right to left, after that.
    """

    transposed: bool = False
    flipped: bool = False
    mirrored: bool = False

    @property
    def is_rotation(self) -> bool:
        """Whether it turns the picture and does not show its mirror image."""
        return not self.transposed ^ self.flipped ^ self.mirrored

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """A view of a (H, W, 3) picture as it is to be shown."""
        shown = picture.swapaxes(0, 1) if self.transposed else picture
        return shown[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]


UPRIGHT: Final = Orientation()
"""As stored."""


def orientation(source: Source, frame: VideoFrame) -> Orientation | None:
    """How a frame is to be shown; None where nothing is said about it.

    The matrix maps a point (x, y), y downwards, to (a x + c y, b x + d y). One without an inverse
    counts as none, as in FFmpeg's players.

    Raises:
        VideoDecodeError: a matrix that neither keeps the axes nor exchanges them.
    """
    found: Any = frame.side_data.get(Type.DISPLAYMATRIX.name)
    if found is None:
        return None
    a, b, _, c, d = np.frombuffer(found, np.int32).astype(float)[:5]
    if a * d == b * c:
        return None
    transposed = abs(a) < abs(b)
    small, large = ((a, d), (b, c)) if transposed else ((b, c), (a, d))
    if max(map(abs, small)) > _TOLERANCE * min(map(abs, large)):
        angle = np.degrees(np.arctan2(b, a))
        raise VideoDecodeError(
            source.name,
            f"its frames are to be turned by {angle:.0f} degrees, which is no multiple of 90; "
            "encode them upright",
        )
    if transposed:
        return Orientation(transposed=True, flipped=bool(b < 0), mirrored=bool(c < 0))
    return Orientation(flipped=bool(d < 0), mirrored=bool(a < 0))

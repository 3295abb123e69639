"""A sample video as a file that browsers play."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import torch
from torch import Tensor

# In order: what browsers play and builds of PyAV bring along.
ENCODERS = {
    "libx264": {"crf": "17", "preset": "veryfast"},
    "libopenh264": {},
    "libvpx-vp9": {"crf": "20", "b": "0", "cpu-used": "5"},
}


@torch.no_grad()
def write_sample_video(path: str | os.PathLike[str], frames: Tensor, *, fps: float) -> None:
    """Writes an .mp4, whole or not at all.

    Args:
        path: of the file; one that is there is replaced.
        frames: (T, 3, H, W) in [0, 1], clamped; a side that is odd grows by one pixel, its last
            repeated, as the codec needs.
        fps: frames per second.

    Raises:
        ValueError: another shape, or `fps` that is not above 0.
        RuntimeError: this build of PyAV has no encoder that browsers play.
    """
    if frames.ndim != 4 or frames.shape[1] != 3 or not frames.numel():
        raise ValueError(f"frames have shape {tuple(frames.shape)}; pass (T, 3, H, W), T >= 1")
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps is {fps}; it must be above 0")
    name = next((name for name in ENCODERS if name in av.codecs_available), None)
    if name is None:
        raise RuntimeError(
            f"PyAV has none of the encoders {', '.join(ENCODERS)}; install PyAV's own wheel"
        )
    if frames.shape[2] % 2:
        frames = torch.cat((frames, frames[..., -1:, :]), dim=-2)
    if frames.shape[3] % 2:
        frames = torch.cat((frames, frames[..., -1:]), dim=-1)
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with av.open(unfinished, "w", format="mp4", options={"movflags": "faststart"}) as container:
            rate = Fraction(fps).limit_denominator(1001)
            stream = container.add_stream(name, rate=rate, options=ENCODERS[name])
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width = frames.shape[2:]
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                pixels = (frame.float().clamp(0, 1) * 255).round().to(torch.uint8)
                array = pixels.permute(1, 2, 0).contiguous().cpu().numpy()
                container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
            container.mux(stream.encode())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)

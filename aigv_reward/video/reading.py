"""Videos and frames of videos, through whichever decoder reads them right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, get_args

import torch
from torch import Tensor

from aigv_reward.video.source import Source, VideoSource, resolve
from aigv_reward.video.video import SampledFrames, Video, VideoDecodeError

if TYPE_CHECKING:
    from aigv_reward.video.probe import Probe

Backend = Literal["auto", "decord", "pyav"]
Choose = Callable[[int, float], Sequence[int]]

BACKENDS: Final[tuple[Backend, ...]] = get_args(Backend)

MAX_DECODED_BYTES: Final = 16 << 30
"""Most memory that the frames of one call may take: 16 GiB."""


def read_video(source: VideoSource, *, backend: Backend = "auto") -> Video:
    """All frames of a video.

    Frames are those that decode, in presentation order, rotated as the container says; a variable
    frame rate neither repeats nor drops any. Every call opens and closes a reader of its own, so
    calls may run in threads and in forked or spawned processes.

    A truncated file is an error, not a shorter video. (An MPEG transport stream or FLV file cut
    between two frames is a whole, shorter one: those formats do not declare their length.) Damage
    inside a frame is an error where the decoder reports it: PyAV does, decord conceals some of it
    in H.264 and HEVC.

    Args:
        source: path, bytes, or binary file object; the last is read from where it stands to its
            end and left open. URLs are refused: nothing is fetched.
        backend: "auto" takes decord where it is installed and right, PyAV everywhere else (GIF,
            AV1, edit lists, more than 8 bits, transport streams, files that decord rejects); the
            two agree to the bit where both are right. "decord" and "pyav" take that one or fail.

    Returns:
        The video. `frames` is (T, 3, H, W) uint8, a permuted view of (T, H, W, 3) memory.

    Raises:
        VideoDecodeError: no such file, not a video, no frames, truncated, found damaged, a frame
            above `probe.MAX_FRAME_PIXELS`, frames above `MAX_DECODED_BYTES`, or a backend that
            cannot read it.
        ValueError: an unknown backend.
    """
    sampled = read_frames(source, lambda num_frames, fps: range(num_frames), backend=backend)
    return Video(frames=sampled.frames, fps=sampled.fps)


def read_frames(source: VideoSource, choose: Choose, *, backend: Backend = "auto") -> SampledFrames:
    """The frames of a video that `choose` asks for, each decoded once.

    Args:
        source: as for `read_video`.
        choose: called once with the number of frames and the frame rate; returns frame indices, in
            any order, repeats allowed.
        backend: as for `read_video`. "auto" takes PyAV for few frames of a video with B-frames,
            where decord's seeks are wrong and it would convert every frame.

    Returns:
        The frames in ascending order of index. `frames` is (N, 3, H, W) uint8, a permuted view of
        (N, H, W, 3) memory.

    Raises:
        VideoDecodeError: as for `read_video`.
        ValueError: an unknown backend, no index or an index outside the video.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; it must be one of {', '.join(BACKENDS)}")
    from aigv_reward.video.probe import probe

    found = resolve(source)
    facts = probe(found)
    indices = sorted({int(index) for index in choose(facts.num_frames, facts.fps)})
    if not indices or indices[0] < 0 or indices[-1] >= facts.num_frames:
        asked = f"{indices[0]}..{indices[-1]}" if indices else "no frame"
        raise ValueError(
            f"choose asked for {asked} of {found.name}; "
            f"it must ask for frames within 0..{facts.num_frames - 1}"
        )
    needed = len(indices) * facts.height * facts.width * 3
    if needed > MAX_DECODED_BYTES:
        raise VideoDecodeError(
            found.name,
            f"{len(indices)} frames of {facts.width}x{facts.height} take {needed} bytes, above the "
            f"limit of {MAX_DECODED_BYTES}; read fewer frames with read_frames",
        )
    frames = _decode(found, facts, indices, backend)
    return SampledFrames(
        frames=frames.permute(0, 3, 1, 2),
        indices=torch.tensor(indices),
        num_frames=facts.num_frames,
        fps=facts.fps,
    )


def _decode(source: Source, facts: Probe, indices: Sequence[int], backend: Backend) -> Tensor:
    """(N, H, W, 3) uint8; the decoders are imported here, the first time they are used."""
    from aigv_reward.video import pyav_decoder as pyav

    if backend == "pyav":
        return pyav.decode(source, facts, indices)
    if find_spec("decord") is None:
        if backend == "auto":
            return pyav.decode(source, facts, indices)
        raise VideoDecodeError(
            source.name, "decord is not installed; install it or use backend='auto'"
        )
    from aigv_reward.video import decord_decoder as decord

    refusal = decord.refusal(facts)
    if backend == "decord":
        if refusal is not None:
            raise VideoDecodeError(
                source.name, f"decord reads it wrong ({refusal}); use backend='auto'"
            )
        return decord.decode(source, facts, indices)
    sparse = facts.reordered and 2 * len(indices) < indices[-1] + 1
    if refusal is not None or sparse:
        return pyav.decode(source, facts, indices)
    try:
        return decord.decode(source, facts, indices)
    except VideoDecodeError:
        return pyav.decode(source, facts, indices)

"""Videos and frames of videos."""

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

    Frames are those that decode, in presentation order, turned and mirrored as the container or the
    stream says; a variable frame rate neither repeats nor drops any. Every call opens and closes a
    reader of its own, so calls may run in threads and in forked or spawned processes.

    A truncated file is an error, not a shorter video, and so is damage inside a frame where the
    decoder reports it: the same file gives the same frames or the same message every time. A cut
    between two frames or fragments leaves a whole, shorter video in formats that do not declare
    their length: MPEG transport streams, FLV, NUT, APNG, fragmented MP4, and Matroska and WebM as
    they are streamed or recorded live. In raw H.264 and HEVC, MPEG program streams, MXF and ASF a
    cut inside a frame may pass for one between frames, too.

    Args:
        source: path, bytes (or bytearray or memoryview), or binary file object; the last is read
            from where it stands to its end and left open. URLs are refused: nothing is fetched.
        backend: "auto" and "pyav" take PyAV, which reads every format and finds damage; it decodes
            on one thread, since with more FFmpeg misses some damage by chance. "decord" takes
            decord or fails (it is refused VP8, VP9, MPEG-4, GIF, AV1, more than 8 bits, transport
            streams, edit lists, several video tracks, sizes that change). The two agree to the bit
            on whole files; decord conceals damage, not the same way every time.

    Returns:
        The video. `frames` is (T, 3, H, W) uint8, a permuted view of (T, H, W, 3) memory.

    Raises:
        VideoDecodeError: no such file, not a video, no frames, truncated, found damaged, a frame
            above `stream.MAX_FRAME_PIXELS`, frames above `MAX_DECODED_BYTES`, or a backend that
            cannot read it.
        ValueError: an unknown backend.
        TypeError: a source of another type.
    """
    sampled = read_frames(source, lambda num_frames, fps: range(num_frames), backend=backend)
    return Video(frames=sampled.frames, fps=sampled.fps)


def read_frames(source: VideoSource, choose: Choose, *, backend: Backend = "auto") -> SampledFrames:
    """The frames of a video that `choose` asks for, each decoded once.

    Args:
        source: as for `read_video`.
        choose: called once with the number of frames and the frame rate; returns frame indices, in
            any order, repeats allowed.
        backend: as for `read_video`. PyAV decodes every frame up to the last one that is wanted and
            looks for damage no further; it converts only those wanted.

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
    if backend != "decord":
        from aigv_reward.video import pyav_decoder

        return pyav_decoder.decode(source, facts, indices)
    if find_spec("decord") is None:
        raise VideoDecodeError(
            source.name, "decord is not installed; install it or use backend='auto'"
        )
    from aigv_reward.video import decord_decoder

    refusal = decord_decoder.refusal(source, facts)
    if refusal is not None:
        raise VideoDecodeError(
            source.name, f"decord reads it wrong ({refusal}); use backend='auto'"
        )
    return decord_decoder.decode(source, facts, indices)

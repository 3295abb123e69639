"""Damage and cuts: found, and found the same way every time."""

import random
import threading
from pathlib import Path

import pytest

from aigv_reward.video import VideoDecodeError, probe, read_frames, read_video
from aigv_reward.video.source import resolve
from aigv_reward.video.truncation import truncation
from tests.video.conftest import LENGTH, encode, h264, reason


def test_damage_is_found(clips: dict[str, Path]) -> None:
    data = bytearray(clips["h264"].read_bytes())
    start = data.index(b"mdat")
    rng = random.Random(1)
    for _ in range(60):
        data[rng.randrange(start + 900, len(data) - 1500)] = rng.randrange(256)
    assert "damage" in reason(bytes(data))


def test_the_same_damage_gives_the_same_error_every_time(tmp_path: Path) -> None:
    """FFmpeg's frame threads report another frame, or none, in about half of these reads."""
    path = encode(tmp_path / "a.mp4", "libx264", options=h264(keyframes=30), size=(384, 256))
    whole = path.read_bytes()
    start, end = whole.index(b"mdat") + 900, whole.index(b"moov") - 10
    for seed in (89, 192, 402, 625, 638, 899, 1803):
        rng, data = random.Random(seed), bytearray(whole)
        for _ in range(4):
            data[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
        source = bytes(data)
        found = {reason(source) for _ in range(6)} | {reason(source, "pyav") for _ in range(2)}
        for count in (
            lambda source=source: probe.count_frames(resolve(source)),
            lambda source=source: read_frames(source, lambda number, fps: [0, number - 1]),
        ):
            with pytest.raises(VideoDecodeError) as caught:
                count()
            found.add(caught.value.reason)
        assert len(found) == 1, found


def test_decoding_starts_no_threads(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.active_count(), len(list(Path("/proc/self/task").iterdir()))
    seen = set()
    for name in ("h264", "hevc", "vp9", "av1"):
        with probe.open_stream(resolve(clips[name])) as (container, stream):
            for _ in probe.decoded(resolve(clips[name]), container, stream):
                seen.add((threading.active_count(), len(list(Path("/proc/self/task").iterdir()))))
    assert seen == {started}


@pytest.mark.parametrize("name", ["no_duration", "live_webm", "fragmented", "live_fragments"])
def test_a_cut_inside_a_block_or_fragment_is_found(
    name: str, clips: dict[str, Path], tmp_path: Path
) -> None:
    """Of all cuts only those between two blocks, or two fragments, leave a whole video."""
    made = dict(clips)
    if name == "live_webm":
        options = {"g": "10", "crf": "30", "b:v": "0", "cpu-used": "8"}
        made[name] = encode(tmp_path / "a.webm", "libvpx-vp9", options=options, mux={"live": "1"})
    if name == "live_fragments":
        made[name] = encode(
            tmp_path / "a.mp4", "libx264", options=h264(), mux={"movflags": "frag_keyframe"}
        )
    data = made[name].read_bytes()
    assert len(read_video(data).frames) == LENGTH
    assert truncation(resolve(data)) is None
    begin = data.index(b"moof" if "frag" in name else b"\x1f\x43\xb6\x75") + 8
    whole = [end for end in range(begin, len(data)) if truncation(resolve(data[:end])) is None]
    # at most the ends of 30 blocks, 30 clusters' heads and what follows them; of 3 fragments, with
    # up to three bytes more
    assert len(whole) <= (16 if "frag" in name else 75)
    for end in whole[::5]:
        try:
            assert 0 < len(read_video(data[:end]).frames) <= LENGTH
        except VideoDecodeError as error:
            assert error.reason == "it has no frames"


def test_messages_name_the_place_of_a_cut(clips: dict[str, Path]) -> None:
    data = clips["no_duration"].read_bytes()
    end = data.rindex(b"\xa3") + 20
    expected = rf"it is truncated: its {end} bytes end inside the element at byte \d+"
    with pytest.raises(VideoDecodeError, match=expected):
        read_video(data[:end])
    data = clips["fragmented"].read_bytes()
    last = data.rindex(b"moof") - 4
    assert reason(data[: last + 50]) == (
        f"it is truncated: its {last + 50} bytes end inside the MP4 box at byte {last}"
    )
    last = data.rindex(b"mdat") - 4
    assert reason(data[:last]) == (
        f"it is truncated: its {last} bytes end before the frames of the last MP4 fragment"
    )
    assert reason(data[: last + 4]).endswith(f"end inside the MP4 box at byte {last}")


def test_bytes_that_are_no_element_or_box_are_left_to_ffmpeg(clips: dict[str, Path]) -> None:
    for name in ("no_duration", "fragmented"):
        data = clips[name].read_bytes()
        assert len(read_video(data + bytes(100)).frames) == LENGTH
    for tail in (bytes(4), b"\n", b"a text\n", b"a text of more bytes\n"):
        assert len(read_video(data + tail).frames) == LENGTH
    twice = clips["no_duration"].read_bytes() * 2
    assert truncation(resolve(twice)) is None


def test_a_probe_does_not_hold_the_file_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 40 raw frames of a 37 MB file are dropped one by one."""
    path = encode(
        tmp_path / "raw.mov", "rawvideo", numbers=range(40), pix_fmt="rgb24", size=(640, 480)
    )

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    rate = probe._frame_rate
    held = []

    def measured(*args: object) -> float:
        held.append(resident())
        return rate(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(probe, "_frame_rate", measured)
    probe.probe(resolve(path))
    before = resident()
    probe.probe(resolve(path))
    assert held[1] - before < path.stat().st_size // 3

"""What cannot be read is an error with path and cause; nothing crashes, hangs or is made up."""

import dataclasses
import os
import random
import struct
from pathlib import Path

import pytest

from aigv_reward.video import (
    VideoDecodeError,
    decord_decoder,
    probe,
    pyav_decoder,
    read_video,
    stream,
)
from aigv_reward.video.source import resolve
from tests.video.conftest import LENGTH, WIDTH, encode, h264, reason


def test_error_carries_path_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "missing.mp4"
    with pytest.raises(VideoDecodeError, match=r"missing.mp4: .*No such file") as caught:
        read_video(path)
    assert caught.value.path == str(path)
    assert caught.value.reason == "it cannot be opened: No such file or directory"


def test_empty_text_and_random_files(tmp_path: Path) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(b"")
    assert reason(path) == "it is empty (0 bytes)"
    assert reason(b"") == "it is empty (0 bytes)"
    path.write_text("a text\n" * 200)
    assert "FFmpeg" in reason(path)
    path.write_bytes(random.Random(0).randbytes(4000))
    assert "FFmpeg" in reason(path)
    text = tmp_path / "drawn.txt"  # FFmpeg would draw it as a terminal screen
    text.write_text("a text\n" * 200)
    assert "FFmpeg" in reason(text)


def test_playlists_open_no_other_file(clips: dict[str, Path]) -> None:
    playlist = clips["h264"].parent / "list.ffconcat"
    playlist.write_text("ffconcat version 1.0\nfile 'h264.mp4'\n")
    assert "FFmpeg" in reason(playlist)


def test_folder_pipe_and_impossible_name(tmp_path: Path) -> None:
    assert reason(tmp_path) == "it is a folder; pass the path of one file"
    os.mkfifo(tmp_path / "pipe")
    assert reason(tmp_path / "pipe") == "it is not a regular file; copy it to one"
    assert reason("a\0b.mp4") == "it cannot be opened: embedded null byte"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/a.mp4", "rtsp://host/x", "file:///a.mp4"])
def test_urls_are_refused(url: str) -> None:
    assert reason(url) == "it is a URL; download it and pass the local path"


def test_a_name_with_a_colon_is_a_path(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "http:x.mp4").write_bytes(clips["h264"].read_bytes())
    monkeypatch.chdir(tmp_path)
    assert len(read_video("http:x.mp4").frames) == LENGTH


def test_audio_only(audio_only: Path) -> None:
    assert reason(audio_only) == "it has no video stream"


def test_unknown_codec(clips: dict[str, Path]) -> None:
    data = clips["h264"].read_bytes().replace(b"avc1", b"zzzz")
    assert reason(data) == "its video codec is unknown to FFmpeg"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("h264", "FFmpeg"),  # its index stood at the end
        ("mpeg4", "FFmpeg|truncated or damaged: it declares 30 frames"),
        ("faststart", "truncated or damaged: it declares 30 frames and holds"),
        ("fragmented", "truncated: its .* bytes end inside the MP4 box at byte"),
        ("vp9", "truncated: it declares .* bytes and has"),
        ("hevc", "truncated: it declares .* bytes and has"),
        ("gif", "truncated: the GIF's .* bytes end inside a block"),
    ],
)
@pytest.mark.parametrize("part", [0.4, 0.6, 0.8])
def test_truncated_files(name: str, message: str, part: float, clips: dict[str, Path]) -> None:
    data = clips[name].read_bytes()
    end = int(part * len(data))
    if name == "fragmented":  # between two fragments a cut leaves a whole, shorter file
        start = data.rfind(b"mdat", 0, end)
        end = (start + max(data.find(b"moof", start), start + 16)) // 2
    cut = data[:end]
    for backend in ("auto", "pyav"):
        with pytest.raises(VideoDecodeError, match=message):
            read_video(cut, backend=backend)  # type: ignore[arg-type]


def test_transport_stream_cut_short_repeats_nothing(clips: dict[str, Path]) -> None:
    """The format declares no length: the frames before the cut, or an error, and no others."""
    whole = read_video(clips["ts"]).frames
    data = clips["ts"].read_bytes()
    for part in (0.3, 0.5, 0.7, 0.9):
        try:
            frames = read_video(data[: int(part * len(data))]).frames
        except VideoDecodeError:
            continue
        equal = [bool((a == b).all()) for a, b in zip(frames, whole, strict=False)]
        assert len(frames) < LENGTH and all(equal[:-4])


def test_nothing_decodes(clips: dict[str, Path]) -> None:
    data = bytearray(clips["mpeg4"].read_bytes())
    at = data.index(b"movi") + 4
    while data[at : at + 4] == b"00dc":
        size = struct.unpack_from("<I", data, at + 4)[0]
        data[at + 8 : at + 8 + size] = b"\xff" * size
        at += 8 + size + size % 2
    assert reason(bytes(data)) == "none of its 30 packets decodes"


def test_header_without_frames(clips: dict[str, Path]) -> None:
    data = clips["fragmented"].read_bytes()
    assert reason(data[: data.index(b"moof") - 4]) == "it has no frames"


def test_changing_frame_size(tmp_path: Path) -> None:
    big = encode(tmp_path / "big.h264", "libx264", options=h264(), numbers=range(4))
    small = encode(
        tmp_path / "small.h264", "libx264", options=h264(), numbers=range(4), size=(64, 48)
    )
    joined = big.read_bytes() + small.read_bytes()
    assert "frame 4 is 64x48 and those before it 96x64; scale them" in reason(joined)


def test_decoders_check_the_promised_number_of_frames(clips: dict[str, Path]) -> None:
    source = resolve(clips["no_b_frames"])
    facts = probe.probe(source)
    more = dataclasses.replace(facts, num_frames=LENGTH + 1)
    less = dataclasses.replace(facts, num_frames=LENGTH - 1)
    with pytest.raises(VideoDecodeError, match="decord finds 30 frames of 31"):
        decord_decoder.decode(source, more, range(LENGTH + 1))
    with pytest.raises(VideoDecodeError, match="it holds 31 frames and 30 decode"):
        pyav_decoder.decode(source, more, range(LENGTH + 1))
    with pytest.raises(VideoDecodeError, match="it holds 29 frames and 30 decode"):
        pyav_decoder.decode(source, less, range(LENGTH - 1))
    hidden = dataclasses.replace(facts, num_frames=LENGTH - 1)
    assert decord_decoder.refusal(source, hidden) == "30 packets hold 29 frames"


def test_absurd_sizes(clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(clips["gif"].read_bytes())
    data[6:10] = struct.pack("<HH", 60000, 60000)
    assert "above the limit of 134217728 pixels; scale the video down" in reason(bytes(data))
    monkeypatch.setattr(stream, "MAX_FRAME_PIXELS", WIDTH)
    message = "its frames are 96x64, above the limit of 96 pixels; scale the video down"
    assert reason(clips["h264"]) == message


@pytest.mark.parametrize("name", ["h264", "vp9", "hevc", "mpeg4", "gif", "ts", "edit_list", "av1"])
def test_mutated_files_give_frames_or_an_error(name: str, clips: dict[str, Path]) -> None:
    original = clips[name].read_bytes()
    for seed in range(12):
        rng = random.Random(seed)
        data = bytearray(original)
        for _ in range(rng.choice([1, 4, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if seed % 4 == 0:
            del data[rng.randrange(1, len(data)) :]
        try:
            video = read_video(bytes(data))
        except VideoDecodeError as error:
            assert error.reason
        else:
            assert len(video.frames) <= 2 * LENGTH

"""Bodies as they are read, without a server: in any pieces, in little time, on disk once."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from aigv_reward.integrations.server import Limits
from aigv_reward.integrations.server.asked import Video
from aigv_reward.integrations.server.bodies import read_body
from aigv_reward.integrations.server.flow_factory import compute_answer
from aigv_reward.integrations.server.refusals import RequestRefused
from aigv_reward.integrations.server.sent_json import MOST_OUTSIDE, read_json
from aigv_reward.integrations.server.spool import RequestFolder, Spool

Use = Callable[[Request, RequestFolder, Limits], Any]
LIMITS = Limits(items=3, queue_items=3, json_bytes=4 << 20)
TENSORS = "application/vnd.aigv.safetensors"


def multipart(*parts: tuple[str, bytes], end: bytes = b"--XX--\r\n") -> bytes:
    """A body of parts, each the rest of its Content-Disposition and its content."""
    made = [
        b"--XX\r\nContent-Disposition: form-data" + rest.encode() + b"\r\n\r\n" + content + b"\r\n"
        for rest, content in parts
    ]
    return b"".join(made) + end


def asking(*names: str) -> tuple[str, bytes]:
    return '; name="request"', json.dumps({"items": [{"file": name} for name in names]}).encode()


def file(name: str, content: bytes = b"bytes") -> tuple[str, bytes]:
    return f'; name="{name}"; filename="clip.mp4"', content


def used(
    use: Use,
    kind: str,
    body: bytes,
    *,
    step: int = 1 << 16,
    limits: Limits = LIMITS,
    pause: float = 0.0,
    **headers: Any,
) -> Any:
    """What comes of a body that arrives `step` bytes at a time; no byte stays counted."""
    fields = {"content-type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}
    sent = [(name.encode(), value.encode()) for name, value in fields.items()]
    pieces = [body[at : at + step] for at in range(0, len(body), step)] or [b""]

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def main() -> Any:
        spool = Spool(limits)
        try:
            async with spool.request() as folder:
                scope = {"type": "http", "method": "POST", "path": "/", "headers": sent}
                found = await use(Request(scope, receive), folder, limits)
            assert spool.bytes == 0
            return found
        finally:
            spool.remove()

    return asyncio.run(main())


async def contents(request: Request, folder: RequestFolder, limits: Limits) -> dict[str, bytes]:
    videos, _ = await read_body(request, folder, limits=limits, allow_root=None)
    return {video.id: Path(video.job["path"]).read_bytes() for video in videos}  # type: ignore[index]


@pytest.mark.parametrize("step", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    "charset", ["", "; charset=utf-8", '; charset="UTF8"', "; charset=us-ascii"]
)
def test_files_in_any_pieces(step: int, charset: str) -> None:
    data = {"ä": b"\r\n--X" * 50 + b"\r\n--XYX\r", "b": b""}
    body = multipart(file("ä", data["ä"]), asking("b", "ä"), file("b", data["b"]))
    kind = f"multipart/form-data; boundary=XX{charset}"
    assert used(contents, kind, body, step=step) == {"0": data["b"], "1": data["ä"]}


@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_frames_in_any_pieces(step: int) -> None:
    shape = [1, 2, 4, 3]
    request = json.dumps({"items": [{"tensor": "a"}]})
    header = {
        "__metadata__": {"aigv_reward": request},
        "a": {"dtype": "U8", "shape": shape, "data_offsets": [0, 24]},
    }
    text = json.dumps(header).encode()
    body = struct.pack("<Q", len(text)) + text + bytes(range(24))

    async def frames(request: Request, folder: RequestFolder, limits: Limits) -> bytes:
        videos, _ = await read_body(request, folder, limits=limits, allow_root=None)
        (video,) = videos
        assert isinstance(video, Video) and isinstance(video.job, dict)
        assert video.job["shape"] == shape
        return Path(video.job["path"]).read_bytes()[video.job["offset"] :]

    assert used(frames, TENSORS, body, step=step) == bytes(range(24))


@pytest.mark.parametrize("charset", ["punycode", "undefined", "utf-7", "latin-1", "idna", "zip"])
@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=XX", TENSORS, "application/json"])
def test_no_codec_is_taken_from_a_client(kind: str, charset: str) -> None:
    body = multipart(('; name="request"', b"a" * 300_000))
    with pytest.raises(
        RequestRefused, match=f"charset '{charset}'; send the body as utf-8"
    ) as told:
        used(contents, f"{kind}; charset={charset}", body)
    assert (told.value.status, told.value.kind) == (415, "unknown_encoding")


def test_nothing_is_read_by_path_unless_the_server_is_told_to() -> None:
    body = json.dumps({"items": [{"path": "/etc/passwd"}]}).encode()
    message = "reads no files by path; start it with --allow-root, or send the files"
    with pytest.raises(RequestRefused, match=message) as told:
        used(contents, "application/json", body)
    assert (told.value.status, told.value.kind) == (403, "paths_not_allowed")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused(coding: str) -> None:
    async def compute(request: Request, folder: RequestFolder, limits: Limits) -> Any:
        return await compute_answer(request, folder, None, None)  # type: ignore[arg-type]

    for use in (contents, compute):
        with pytest.raises(RequestRefused, match=f"'{coding}'; send the body uncompressed"):
            used(use, "application/json", b"{}", content_encoding=coding)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"no parts", "has no parts between boundaries 'XX' ("),
        (multipart(end=b""), "ends after 0 bytes, before its last boundary"),
        (multipart(asking("a"), file("a"), end=b""), "before its last boundary"),
        (multipart(file("a")), "no part 'request' with the request's JSON"),
        (multipart(asking("a"), ('; filename="a"', b"")), "has no name in its Content-Disposition"),
        (multipart(asking("a"), asking("a")), "two parts have the name 'request'"),
        (multipart(asking("a"), *map(file, "abcd")), "more than 3 videos, which is the limit"),
        (multipart(asking("a"), file("a" * 3000)), "headers are longer than 2048 bytes"),
        (multipart(('; name="request"', b"x" * (5 << 20))), "'request' is longer than 4194304 byt"),
        (multipart(('; name="request"', b"\xff")), "the request is not UTF-8 (at byte 0)"),
        (
            multipart(asking("a"), file("a")).replace(b'"a"; file', b'"\xff"; file'),
            "a part's name is not UTF-8; send UTF-8",
        ),
        (
            multipart((f"{file('a')[0]}\r\nContent-Transfer-Encoding: base64", b"YQ==")),
            "transfer encoding 'base64'; send its bytes as they are",
        ),
    ],
)
def test_a_bad_multipart_body(body: bytes, message: str) -> None:
    with pytest.raises(RequestRefused) as told:
        used(contents, "multipart/form-data; boundary=XX", body)
    assert message in told.value.message


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("multipart/form-data", "boundary has 0 characters; send 1 to 70"),
        (f"multipart/form-data; boundary={'X' * 71}", "boundary has 71 characters; send 1 to 70"),
        (f"multipart/form-data{';' * 2000}", "2019 characters, above the limit of 1000; shorten"),
        ("text/html", "content type 'text/html'; send multipart/form-data, "),
    ],
)
def test_a_bad_content_type(kind: str, message: str) -> None:
    with pytest.raises(RequestRefused) as told:
        used(contents, kind, b"")
    assert message in told.value.message


@pytest.mark.parametrize(
    "text",
    [
        '{"items":[' + "1," * 2_000_000 + "1]}",
        '{"items":[' + "[]," * 1_300_000 + "1]}",
        '{"items":[' + '"",' * 1_300_000 + "1]}",
        '{"items":[{"file":"a"}],' + ",".join(f'"{i}":1' for i in range(350_000)) + "}",
        '{"items":' + "[" * 2_000_000,
    ],
    ids=["numbers", "lists", "texts", "fields", "depth"],
)
def test_json_that_would_take_seconds_is_not_read(text: str) -> None:
    started = time.process_time()
    with pytest.raises(RequestRefused, match=r"outside its texts, above the limit of 65536; send"):
        used(contents, "multipart/form-data; boundary=XX", multipart((asking()[0], text.encode())))
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", r"not JSON \(Expecting property name enclosed in double quotes at character 1\)"),
        (b"[" * 5000, "JSON that is nested too deep"),
        (b"1" * 5000, "a number of too many digits"),
        (b"\xff\xfe{\0}\0", r"not UTF-8 \(at byte 0\)"),
        (b" " * (MOST_OUTSIDE + 1), "above the limit of 65536"),
    ],
)
def test_what_is_no_json(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_json(text)


def test_texts_of_any_length_are_read() -> None:
    for content in ('\\"' * 300_000, '\\\\"' + "," * 300_000, "[{" * 300_000):
        assert read_json(json.dumps([content])) == [content]


@pytest.mark.parametrize("pause", [0.03, 60.0])
def test_a_body_that_drips_is_given_up(pause: float) -> None:
    limits = Limits(body_seconds=0.2)
    with pytest.raises(RequestRefused, match=r"not arrive within 0\.2 s; send fewer") as told:
        used(contents, "application/json", b"x" * 1000, step=1, limits=limits, pause=pause)
    assert (told.value.status, told.value.kind) == (408, "too_slow")


def test_an_upload_is_on_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each video goes to its file as it arrives, not by way of one without a name."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    most = 0

    def on_disk() -> int:
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/self/fd/{number}")
                assert not (target.startswith(str(tmp_path)) and target.endswith("(deleted)"))
        return sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())

    async def watched(request: Request, folder: RequestFolder, limits: Limits) -> Any:
        receive = request._receive

        async def noting() -> Any:
            nonlocal most
            assert on_disk() <= folder.spool.bytes
            most = max(most, on_disk())
            return await receive()

        request._receive = noting
        found = await contents(request, folder, limits)
        assert on_disk() == sum(map(len, found.values()))
        return found

    body = multipart(asking("a", "b"), file("a", b"a" * (3 << 20)), file("b", b"b" * (1 << 20)))
    found = used(watched, "multipart/form-data; boundary=XX", body)
    assert {name: len(data) for name, data in found.items()} == {"0": 3 << 20, "1": 1 << 20}
    assert most > 2 << 20


def test_a_body_that_is_taken_apart_counts_twice(tmp_path: Path) -> None:
    limits = Limits(body_bytes=1000, spool_bytes=2000)
    body = json.dumps({"prompt": ["a"], "video": [["x" * 800]]}).encode()
    held: list[int] = []

    class Scorer:
        settings = SimpleNamespace(fps=16.0)
        facts = {"weights": {"overall": 1.0}}

        def __init__(self, folder: RequestFolder) -> None:
            self.folder = folder

        async def split(self, path: Path, folder: Path) -> dict[str, Any]:
            held.append(self.folder.spool.bytes)
            return {"videos": ["video0"], "prompts": ["a"]}

        def admitted(self, count: int) -> Any:
            held.append(self.folder.spool.bytes)
            assert not (self.folder.path / "body").exists()
            raise RequestRefused(503, "busy", "full")

    async def compute(request: Request, folder: RequestFolder, limits: Limits) -> Any:
        return await compute_answer(request, folder, Scorer(folder), connected)  # type: ignore[arg-type]

    async def crowded(request: Request, folder: RequestFolder, limits: Limits) -> Any:
        folder.spool.bytes += 800
        try:
            await compute(request, folder, limits)
        finally:
            folder.spool.bytes -= 800

    async def connected(request: Request, work: Any) -> Any:
        return await work

    with pytest.raises(RequestRefused, match="full"):
        used(compute, "application/json", body, limits=limits)
    assert held == [2 * len(body), len(body)]
    with pytest.raises(RequestRefused, match="above the limit of 2000; try again"):
        used(crowded, "application/json", body, limits=limits)

"""Requests that get no results say why."""

from __future__ import annotations

import base64
import json
import socket
import struct
import zlib
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigv_reward.integrations.server import Limits
from aigv_reward.integrations.server.refusals import RequestRefused
from aigv_reward.integrations.server.tensor_header import TensorPlace, header_size, parse_header

TENSORS = "application/vnd.aigv.safetensors"


def file_request(items: list[dict[str, Any]], *names: str, **more: Any) -> dict[str, Any]:
    return {
        "data": {"request": json.dumps({"items": items, **more})},
        "files": dict.fromkeys(names, b"bytes") or {"": b""},
    }


def header(tensors: Any, items: Any = None, *, length: int | None = None) -> bytes:
    asked = items if items is not None else [{"tensor": name} for name in tensors]
    fields = {"__metadata__": {"aigv_reward": json.dumps({"items": asked})}, **tensors}
    text = json.dumps(fields).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


def tensor(shape: list[int], start: int = 0, **more: Any) -> dict[str, Any]:
    size = 1
    for side in shape:
        size *= side
    return {"dtype": "U8", "shape": shape, "data_offsets": [start, start + size], **more}


SMALL = tensor([2, 4, 4, 3])


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (file_request([], "a"), 422, "items: List should have at least 1 item"),
        (file_request([{"file": "a", "fps": 3}], "a"), 422, "items.0.fps: Extra inputs"),
        (file_request([{"file": 3}], "a"), 422, "items.0.file: Input should be a valid string"),
        (file_request([{"file": "b"}], "a"), 422, "file 'b' is not among the parts"),
        (file_request([{"file": "a"}], "a", "b"), 422, "file 'b' belongs to no item"),
        (file_request([{"file": "a"}] * 9, "a"), 413, "9 items, above the limit of 8; send fewer"),
        (
            file_request([{"file": "a", "id": "x"}, {"file": "a", "id": "x"}], "a"),
            422,
            "two items have the id 'x'; make them differ",
        ),
        (
            file_request([{"file": "a"}], "a", dimensions=["beauty"]),
            422,
            "unknown dimension 'beauty'; this server scores technical, motion, semantic, overall",
        ),
        (
            {
                "data": {"request": json.dumps({"items": [{"file": "a"}]})},
                "files": [("a", b"one"), ("a", b"two")],
            },
            422,
            "two parts have the name 'a'; make them differ",
        ),
        ({"files": {"a": b"bytes"}}, 422, "the body has no part 'request'"),
        (
            {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
            422,
            "boundary has 0 characters; send 1 to 70",
        ),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "is not JSON"),
        ({"json": {"items": [{"path": "a" * 70_000}]}}, 413, "longer than 65536 bytes"),
        ({"json": {"items": [{"path": "a/" * 3000}]}}, 422, "items.0.path: String should have at"),
        (
            {
                "content": b'{"items": [{"path": "a.mp4", "prompt": "a cat \\ud83d"}]}',
                "headers": {"content-type": "application/json"},
            },
            422,
            "items.0.prompt: a lone surrogate, which is half a character; send whole characters",
        ),
        (
            {
                "content": b"--x",
                "headers": {"content-type": "multipart/form-data; boundary=x; charset=undefined"},
            },
            415,
            "charset 'undefined'; send the body as utf-8",
        ),
        ({"content": b"x", "headers": {"content-type": "text/html"}}, 415, "content type 'text/h"),
    ],
)
def test_a_bad_request(server: Any, request_: dict[str, Any], status: int, message: str) -> None:
    with server.client() as client:
        response = client.post("/v1/score", **request_)
    assert message in response.json()["error"]["message"]
    assert response.status_code == status


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 422, "it ends after 0 bytes, before its header"),
        (header({}, length=1 << 40), 422, "its header declares 1099511627776 bytes, above 65536"),
        (struct.pack("<Q", 4) + b"nope", 422, "its header is not JSON"),
        (struct.pack("<Q", 2) + b"[]", 422, "its header is no JSON object"),
        (struct.pack("<Q", 2) + b"{}", 422, "its metadata has no text 'aigv_reward'"),
        (header({"a": {**SMALL, "dtype": "F32"}}), 422, "tensor 'a' is not U8 of shape"),
        (header({"a": tensor([2, 4, 4, 4])}), 422, "tensor 'a' is not U8 of shape"),
        (header({"a": tensor([0, 4, 4, 3])}), 422, "of shape [0, 4, 4, 3] holds no pixels"),
        (header({"a": tensor([2, -4, -4, 3])}), 422, "tensor 'a' is not U8 of shape"),
        (header({"a": {**SMALL, "data_offsets": [0, 9]}}), 422, "do not fit its shape"),
        (header({"a": SMALL, "b": SMALL}), 422, "its tensors overlap or leave gaps"),
        (header({"a": tensor([2, 4, 4, 3], 5)}), 422, "its tensors overlap or leave gaps"),
        (header({"a": tensor([1 << 30, 1 << 15, 1 << 15, 3])}), 413, "is above the limit of"),
        (header({"a": tensor([1, 2100, 2100, 3])}), 413, "is above the limit of 4194304 pixels"),
        (header({"a": tensor([20, 1000, 1000, 3])}), 413, "or 16777216 a video"),
        (header({str(i): SMALL for i in range(9)}), 413, "9 tensors, above the limit of 8; send"),
        (header({"a": SMALL}), 422, "bytes, before the "),
        (header({"a": SMALL}) + bytes(97), 422, "it goes on after the "),
        (header({"a": SMALL}, [{"tensor": "b"}]) + bytes(96), 422, "is not in both the body and"),
        (header({"a": SMALL}, [{"tensor": "a", "fps": -1}]) + bytes(96), 422, "greater than 0"),
    ],
)
def test_a_bad_tensor_body(server: Any, body: bytes, status: int, message: str) -> None:
    with server.client() as client:
        response = client.post("/v1/score", content=body, headers={"content-type": TENSORS})
    assert message in response.json()["error"]["message"]
    assert response.status_code == status


def png_of_size(width: int, height: int) -> str:
    """As much of a PNG as says how large it is."""
    fields = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + fields + struct.pack(">I", zlib.crc32(fields))
    pixels = struct.pack(">I", 10) + b"IDAT" + bytes(14)
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk + pixels).decode()


BOMB = png_of_size(30_000, 30_000)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "the payload has no list 'video'"),
        ({"prompt": ["a"]}, "the payload has no list 'video'"),
        ({"prompt": ["a", "b"], "video": [["x"]]}, "prompts is 2 entries for 1 videos"),
        ({"prompt": ["a"], "video": [[]]}, "video[0] is no list of frames"),
        ({"prompt": ["a"] * 9, "video": [["x"]] * 9}, "9 videos, above the limit of 8; send fewer"),
        ({"prompt": ["a"], "video": [["!"]]}, "video 0: frame 0 is not a PNG in base64: "),
        ({"prompt": ["a" * 20_001], "video": [["x"]]}, "prompt 0 has 20001 characters"),
        (
            {"prompt": ["a", "a cat \ud83d"], "video": [["x"], ["x"]]},
            "prompt[1] has a lone surrogate at character 6, which is half a character; send whole",
        ),
        ({"prompt": ["a"], "video": [[BOMB]]}, "video 0: its frames are 30000x30000, above the"),
    ],
)
def test_a_bad_compute_body(server: Any, body: Any, message: str) -> None:
    with server.client() as client:
        response = client.post("/compute", content=json.dumps(body))
    assert message in response.json()["error"]["message"]
    assert response.status_code == 422
    assert "rewards" not in response.json()


def test_a_body_that_is_too_long_is_counted_while_it_comes(server: Any) -> None:
    sent = 0

    def chunks() -> Any:
        nonlocal sent
        for _ in range(1000):
            sent += 1 << 20
            yield bytes(1 << 20)

    with server.client() as client:
        try:
            status = client.post("/compute", content=chunks()).status_code
        except httpx.TransportError:  # the connection is closed while the client still sends
            status = 413
    assert status == 413
    assert sent < 200 << 20


def raw(server: Any, head: str) -> tuple[int, bytes]:
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port), timeout=120) as connection:
        head = f"{head}\nauthorization: Bearer {server.token}\n\n".replace("\n", "\r\n")
        connection.sendall(head.encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return int(answer.split()[1]), answer


def test_a_declared_length_is_refused_before_the_body(server: Any) -> None:
    head = "POST /compute HTTP/1.1\nhost: x\ncontent-length: 99999999999"
    status, answer = raw(server, head)
    assert status == 413
    assert b"the body is longer than 8388608 bytes" in answer
    assert b"connection: close" in answer


def test_a_header_that_never_ends_is_given_up(server: Any) -> None:
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port), timeout=120) as connection:
        connection.sendall(b"POST /compute HTTP/1.1\r\nhost: x\r\n")
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"no request came within 3 s; send its header at once" in answer


def test_routes_that_are_none(server: Any) -> None:
    with server.client() as client:
        assert client.get("/docs").json()["error"]["type"] == "not_found"
        assert client.get("/v1/score").json()["error"]["type"] == "wrong_method"


LIMITS = Limits()


@given(st.binary(max_size=200))
def test_any_header_is_read_or_refused(data: bytes) -> None:
    body = struct.pack("<Q", len(data)) + data
    with pytest.raises(RequestRefused):
        parse_header(body, LIMITS)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=50)
@given(JSON_VALUES, JSON_VALUES, st.sampled_from(["U8", "F32", None, 3]))
def test_any_entry_is_read_or_refused(shape: Any, offsets: Any, dtype: Any) -> None:
    body = header({"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}})
    with pytest.raises(RequestRefused):
        parse_header(body, LIMITS)


@given(st.lists(st.tuples(*[st.integers(1, 4)] * 3), max_size=4))
def test_good_headers_place_every_tensor(shapes: list[tuple[int, int, int]]) -> None:
    tensors, start = {}, 0
    for index, (frames, height, width) in enumerate(shapes):
        entry = tensor([frames, height, width, 3], start)
        tensors[str(index)] = entry
        start = entry["data_offsets"][1]
    body = header(tensors)
    assert header_size(body, LIMITS) == len(body)
    parsed = parse_header(body, LIMITS)
    assert parsed.size == len(body) + start
    for name, entry in tensors.items():
        place = TensorPlace(len(body) + entry["data_offsets"][0], tuple(entry["shape"]))
        assert parsed.places[name] == place

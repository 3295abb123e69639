"""What a server must never do, whatever it is sent."""

from __future__ import annotations

import ast
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save

from aigv_reward import Video
from aigv_reward.integrations import server as package

SOURCES = sorted(Path(package.__file__).parent.glob("*.py"))
UNPICKLING = {
    "_pickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "multiprocessing",
    "pickle",
    "shelve",
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_is_pickled_in_the_sources(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported & UNPICKLING == set()
    for words in ("torch.load", "np.load", "allow_pickle", "eval(", "exec("):
        assert words not in path.read_text().replace("subprocess_exec(", "")


def test_nothing_is_unpickled_in_any_process(
    server: Any, clips: dict[str, Path], videos: dict[str, Video]
) -> None:
    frames = videos["city_clean"].frames[:2].permute(0, 2, 3, 1).contiguous()
    items = [{"tensor": "a", "fps": 16.0}]
    tensors = save({"a": frames}, metadata={"aigv_reward": json.dumps({"items": items})})
    poison = pickle.dumps({"prompt": ["a"], "video": [[]]})
    with server.client() as client:
        for body, kind in (
            (tensors, "application/vnd.aigv.safetensors"),
            (poison, "application/vnd.aigv.safetensors"),
            (poison, "application/json"),
            (poison, "application/octet-stream"),
        ):
            client.post("/v1/score", content=body, headers={"content-type": kind})
        client.post("/compute", content=poison)
        files = {"a": clips["city_clean"].read_bytes(), "b": poison}
        asked = json.dumps({"items": [{"file": "a"}, {"file": "b"}]})
        results = client.post("/v1/score", data={"request": asked}, files=files).json()["results"]
    assert "scores" in results[0]
    assert "error" in results[1]
    assert not server.trap.exists()


def test_the_trap_works(server: Any, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(server.trap.parent),
        "PICKLE_TRAP": str(tmp_path / "trap"),
    }
    code = "import pickle; pickle.loads(pickle.dumps(1))"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert ran.returncode == 1
    assert (tmp_path / "trap").read_text() == "unpickled\n"


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer a-token-of-tests-012345678"},
        {"authorization": "Bearer a-token-of-tests-01234567890"},
        {"authorization": "Basic a-token-of-tests-0123456789"},
        {"authorization": "a-token-of-tests-0123456789"},
    ],
)
@pytest.mark.parametrize("route", ["/v1/info", "/metrics", "/v1/score", "/compute", "/none"])
def test_without_the_token(server: Any, header: dict[str, str], route: str) -> None:
    with server.client() as client:
        del client.headers["authorization"]
        response = client.get(route, headers=header)
        assert response.status_code == 401
        assert response.json()["error"]["type"] == "unauthorized"
        assert response.headers["www-authenticate"] == "Bearer"
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200


def test_the_token_is_compared_in_constant_time() -> None:
    (path,) = (path for path in SOURCES if path.name == "gate.py")
    nodes = list(ast.walk(ast.parse(path.read_text())))
    calls = [ast.unparse(node) for node in nodes if isinstance(node, ast.Call)]
    assert "hmac.compare_digest(given, self.token)" in calls
    compared = [node for node in nodes if isinstance(node, ast.Compare)]
    assert {
        ast.unparse(node)
        for node in compared
        if {"token", "given"} & set(ast.unparse(node).replace(".", " ").split())
    } == {"self.token is None", "token is None"}


def score_file(server: Any, data: bytes, name: str = "clip.mp4") -> dict[str, Any]:
    with server.client() as client:
        response = client.post(
            "/v1/score",
            data={"request": json.dumps({"items": [{"file": "a"}]})},
            files={"a": (name, data)},
        )
    assert response.status_code == 200
    (result,) = response.json()["results"]
    return dict(result)


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile '{path}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nconcat:{path}|{path}\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "<?xml version='1.0'?><MPD><Period><AdaptationSet><Representation><BaseURL>{path}"
        "</BaseURL></Representation></AdaptationSet></Period></MPD>",
    ],
    ids=["concat", "hls", "hls-file", "hls-concat", "sdp", "dash"],
)
def test_a_playlist_named_mp4_reads_no_other_file(
    server: Any, clips: dict[str, Path], text: str, tmp_path: Path
) -> None:
    playlist = text.format(path=clips["city_clean"]).encode()
    result = score_file(server, playlist)
    assert result["error"]["type"] == "decode_error"
    assert result["error"]["message"] in {
        "Invalid data found when processing input (FFmpeg)",
        "Invalid argument (FFmpeg)",
    }


def test_a_path_must_stay_under_the_root(tmp_path: Path, clips: dict[str, Path]) -> None:
    from aigv_reward.integrations.server.allowed_paths import allowed_path
    from aigv_reward.integrations.server.refusals import ItemFailed

    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "deep", outside, tmp_path / "rootless"):
        folder.mkdir(parents=True)
    inner = root / "deep" / "a.mp4"
    inner.write_bytes(clips["city_clean"].read_bytes())
    (outside / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "rootless" / "b.mp4").write_bytes(b"secret")
    (root / "in").symlink_to(inner)
    (root / "out").symlink_to(outside / "secret.mp4")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to("loop")
    (tmp_path / "alias").symlink_to(root)
    os.mkfifo(root / "pipe")
    assert allowed_path("deep/a.mp4", str(root)) == str(inner)
    assert allowed_path("deep/../in", str(root)) == str(inner)
    assert allowed_path(str(tmp_path / "alias" / "in"), str(tmp_path / "alias")) == str(inner)
    for path in ("out", "folder/secret.mp4", "../outside/secret.mp4", "../outside/none.mp4",
                 str(outside / "secret.mp4"), "../rootless/b.mp4", "/etc/passwd"):  # fmt: skip
        with pytest.raises(ItemFailed, match="leads out of the allowed folder"):
            allowed_path(path, str(root))
    for path in ("none.mp4", "deep", "pipe", "loop", ""):
        with pytest.raises(ItemFailed, match=r"no such file|no regular file"):
            allowed_path(path, str(root))
    with pytest.raises(ItemFailed, match="null character"):
        allowed_path("a\0b", str(root))


def test_frames_beyond_the_pixel_limit_are_not_decoded(
    server: Any, same_frame: Callable[..., bytes]
) -> None:
    error = score_file(server, same_frame(2064, 2))["error"]
    assert error["type"] == "decode_limit"
    assert "2064x2064, above the limit of 4194304 pixels; scale it down" in error["message"]


def test_logs_hold_no_prompt_no_name_and_no_trace(server: Any, clips: dict[str, Path]) -> None:
    secret = "a-prompt-that-nobody-else-may-read"
    asked = {"items": [{"id": secret, "file": secret, "prompt": secret}]}
    with server.client() as client:
        bad = {secret: (f"{secret}.mp4", b"no video")}
        client.post("/v1/score", data={"request": json.dumps(asked)}, files=bad)
        client.post("/v1/score", json={"items": [{"path": secret, "prompt": secret, "x": secret}]})
        client.post("/compute", json={"prompt": [secret], "video": [[secret]]})
        client.post("/compute", json={"prompt": secret, "video": secret})
        client.get(f"/{secret}?{secret}")
        asked["items"][0]["prompt"] = f"{secret} " * 500  # longer than the model reads
        good = {secret: (f"{secret}.mp4", clips["city_clean"].read_bytes())}
        long = client.post("/v1/score", data={"request": json.dumps(asked)}, files=good).json()
    assert long["results"][0]["error"]["type"] == "invalid_item"
    written = server.log.read_text()
    assert secret not in written
    assert "Traceback" not in written
    assert "route=other status=404" in written
    assert "route=/compute status=422" in written

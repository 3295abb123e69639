"""What the decoding process allows its forks, enforced by the kernel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from aigv_reward import VideoReward
from aigv_reward.integrations.server import decode_child
from aigv_reward.integrations.server.decode_child import Forks, view_bytes
from aigv_reward.integrations.server.decode_job import run_job

LIMITS = {"decode_seconds": 5, "decode_memory": 1 << 30}
Work = Callable[..., dict[str, Any]]


class Line:
    """Keeps what is answered."""

    def __init__(self) -> None:
        self.answered: list[dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        self.answered.append(message)


# A thread that another test left does not run in these forks, and they take no lock of its.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def answer(work: Work, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the server is told of a fork that does some work."""
    monkeypatch.setattr(decode_child, "run_job", work)
    line = Line()
    forks = Forks(line, None, view_bytes=1000, limits=LIMITS)  # type: ignore[arg-type]
    forks.start({"id": 7, **message})
    while forks.jobs:
        forks.read(next(iter(forks.jobs)))
    (told,) = line.answered
    assert told.pop("id") == 7
    return told


@pytest.mark.parametrize("kind", ["file", "split"])
@pytest.mark.parametrize("writer", ["python", "safetensors"])
def test_a_file_that_grows_beyond_what_is_needed(
    kind: str, writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1000 bytes of views; a body's videos have no more bytes than the body."""
    body, out = tmp_path / "body", tmp_path / "out"
    body.write_bytes(bytes(500))

    def work(reward: Any, message: Any, limits: Any) -> dict[str, Any]:
        if writer == "python":
            out.write_bytes(bytes(message["size"]))
        else:
            save_file({"a": torch.zeros(message["size"] - 100, dtype=torch.uint8)}, out)
        return {"done": message["size"]}

    most = 1000 if kind == "file" else 500
    job = {"kind": kind, "path": str(body)}
    assert answer(work, {**job, "size": most - 100}, monkeypatch) == {"done": most - 100}
    told = answer(work, {**job, "size": most + 200}, monkeypatch)["error"]
    assert told["type"] == "decode_limit"
    assert told["message"] == (
        f"decoding wrote a file of more than {most} bytes, which no good video needs; the file may "
        "be damaged"
    )


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(decode_child, "LONGEST_ANSWER", 1 << 20)
    job = {"kind": "file", "path": "a"}
    told = answer(lambda *_: {"done": "x" * (8 << 20)}, job, monkeypatch)["error"]
    assert told["type"] == "decode_crash"
    assert "the decoder ended with SIGKILL" in told["message"]


def test_a_body_whose_client_has_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The fork finds out; the process that forks goes on."""
    job = {"kind": "split", "path": str(tmp_path / "none")}
    assert answer(lambda *_: {"done": 1}, job, monkeypatch) == {"done": 1}


def test_views_have_room_whatever_a_body_may_have(
    reward: VideoReward, clips: dict[str, Path], tmp_path: Path
) -> None:
    limits = {"frame_pixels": 1 << 25, "decode_memory": 1 << 31}
    for name, path in clips.items():
        job = {"kind": "file", "path": str(path), "out": str(tmp_path / name)}
        assert "done" in run_job(reward, job, limits)
        size = (tmp_path / name).stat().st_size
        assert size <= view_bytes(reward) <= size + decode_child.LONGEST_HEADER

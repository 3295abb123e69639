"""What a video may be given as, and what is said of anything else."""

import io
from pathlib import Path

import pytest
import torch

from aigv_reward.video import read_video
from tests.video.conftest import reason


class Failing:
    name = "remote.mp4"

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self) -> bytes:
        raise self.error


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_any_bytes(kind: type, clips: dict[str, Path]) -> None:
    data = clips["h264"].read_bytes()
    assert torch.equal(read_video(kind(data)).frames, read_video(data).frames)

    class File(io.RawIOBase):
        def read(self, size: int = -1) -> object:  # type: ignore[override]
            return kind(data)

    assert torch.equal(read_video(File()).frames, read_video(data).frames)  # type: ignore[arg-type]
    assert reason(kind(b"")) == "it is empty (0 bytes)"


@pytest.mark.parametrize("source", [None, 3, ["a.mp4"], torch.zeros(2, 3, 4, 4)])
def test_other_types(source: object) -> None:
    expected = (
        rf"a video cannot be read from .*, which is of type {type(source).__name__}; "
        "pass a path, bytes or a binary file object$"
    )
    with pytest.raises(TypeError, match=expected) as caught:
        read_video(source)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_closed_file(clips: dict[str, Path]) -> None:
    with clips["h264"].open("rb") as file:
        pass
    with pytest.raises(ValueError, match=r"h264\.mp4: its file object cannot be read \(read of cl"):
        read_video(file)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    remedy = "; pass one that is open for reading"
    assert reason(Failing(OSError("disk"))) == f"its file object cannot be read (disk){remedy}"
    assert reason(Failing(EOFError())) == f"its file object cannot be read (EOFError){remedy}"
    with (tmp_path / "new.mp4").open("wb") as file:
        assert reason(file) == f"its file object cannot be read (read){remedy}"


def test_text(clips: dict[str, Path]) -> None:
    expected = "its file object gives text, not bytes; open it as 'rb'"
    assert reason(io.StringIO("text")) == expected
    with clips["h264"].open("r") as file:
        assert reason(file) == expected

    class Text:
        def read(self) -> str:
            return "text"

    assert reason(Text()) == "its file object gives str, not bytes; open it as 'rb'"

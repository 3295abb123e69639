from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from pathlib import Path

import pytest
import typer

from aigv_reward.cli.errors import CommandError
from aigv_reward.cli.output import emit, row_writer
from aigv_reward.cli.rows import Columns, Row
from aigv_reward.dimensions import DIMENSIONS

COLUMNS = Columns(("motion", "overall"))
GOOD = Row("a.mp4", {"motion": 2.12345678, "overall": 4.0})
FAILED = Row('b, "two"\n\udcff.mp4', {}, error="it is empty")


def test_json_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    writer = row_writer("json", COLUMNS)
    writer.write(GOOD)
    first = capfdbinary.readouterr().out
    assert first == b'{"video": "a.mp4", "motion": 2.123457, "overall": 4.0}\n'
    writer.write(FAILED)
    writer.finish()
    second = json.loads(capfdbinary.readouterr().out)
    assert second == {
        "video": FAILED.video,
        "motion": None,
        "overall": None,
        "error": "it is empty",
    }


def test_json_shows_windows_and_says_what_is_untrained(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    writer = row_writer("json", Columns(("motion",), untrained=("motion",)))
    writer.write(Row("a", {"motion": 2.0}, windows={"motion": [1.0, 3.0]}))
    assert json.loads(capfdbinary.readouterr().out) == {
        "video": "a",
        "motion": 2.0,
        "windows": {"motion": [1.0, 3.0]},
        "untrained": ["motion"],
    }


@pytest.mark.parametrize("untrained", [(), ("motion",)])
def test_csv(capfdbinary: pytest.CaptureFixture[bytes], untrained: tuple[str, ...]) -> None:
    columns = Columns(("motion", "overall"), untrained, ranked=True, weighted=True)
    writer = row_writer("csv", columns)
    for row in (GOOD, FAILED):
        writer.write(row)
    writer.finish()
    text = capfdbinary.readouterr().out.decode("utf-8", "surrogateescape")
    header, good, failed = csv.reader(io.StringIO(text, newline=""))
    extra = ["untrained"] if untrained else []
    assert header == ["rank", "video", "motion", "overall", "weighted", *extra, "error"]
    assert good == ["", "a.mp4", "2.123457", "4.0", "", *untrained, ""]
    assert failed == ["", FAILED.video, "", "", "", *untrained, "it is empty"]


def test_a_table_in_a_file_is_as_wide_as_its_content(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    long = "x" * 300
    writer = row_writer("table", Columns(("motion",), untrained=("motion",)))
    writer.finish()
    assert capfdbinary.readouterr().out == b""
    writer.write(Row(long, {"motion": 2.0}))
    writer.finish()
    out = capfdbinary.readouterr().out.decode()
    assert long in out
    assert "\x1b" not in out
    assert out.endswith("* not trained in this checkpoint: motion\n")


@pytest.mark.parametrize("columns", [40, 80])
def test_a_table_on_a_terminal_has_its_width_or_wraps_whole(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    writer = row_writer("table", Columns(DIMENSIONS))
    writer.write(Row("folder/" * 20 + "a.mp4", dict.fromkeys(DIMENSIONS, 1.25)))
    ours, theirs = os.openpty()
    with monkeypatch.context() as patched, open(theirs, "w") as terminal:
        patched.setattr(sys, "stdout", terminal)
        writer.finish()
        page = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "\x1b[1m" in page
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in page.splitlines()]
    (width,) = {len(line) for line in lines}
    assert width == columns if columns == 80 else width > columns
    (line,) = (line for line in lines if "a.mp4" in line)
    assert line.split()[-4:] == ["1.25"] * 4


def test_a_full_disk_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(
            CommandError, match=r"cannot write the results \(No space left.*make ro"
        ):
            emit("row\n")


def test_a_reader_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(typer.Exit) as ended:
            emit("row\n")
    assert ended.value.exit_code == 141


def test_a_closed_stdout_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(CommandError, match="stdout is closed; redirect it to a file"):
        emit("row\n")

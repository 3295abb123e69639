"""What only a process of its own shows: its start, its exit status, its signals and its pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aigv_reward import __version__

AIGV = [sys.executable, "-m", "aigv_reward"]

# A command that prints for ever and needs no model: what is tested is how it ends.
FLOOD = """
import typer
from aigv_reward.cli.errors import CommandGroup
from aigv_reward.cli.output import emit

app = typer.Typer(cls=CommandGroup)

@app.callback()
def commands() -> None: ...

@app.command()
def flood() -> None:
    while True:
        emit("row\\n")

app(["flood"])
"""


# Runs a command line and tells, last on stderr, its status and which slow libraries it loaded.
TELL = """
import sys
from aigv_reward.cli import main
try:
    main()
except SystemExit as end:
    loaded = {"av", "numpy", "torch", "transformers"} & set(sys.modules)
    print(end.code, sorted(loaded), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["score", "--help"], []])
def test_help_is_quick(arguments: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", TELL, *arguments], capture_output=True, text=True, check=True
    )
    assert (f"aigv-reward {__version__}\n" if "--version" in arguments else "Usage") in ran.stdout
    assert ran.stderr == ("0 []\n" if arguments else "2 []\n")


def test_a_mistake_is_found_before_anything_slow_is_loaded(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", TELL, "score", tmp_path], capture_output=True, text=True, check=True
    )
    assert ran.stderr.startswith(f"aigv-reward: error: folder {str(tmp_path)!r} holds no video")
    assert ran.stderr.endswith("\n2 []\n")


def test_the_package_runs_as_a_module() -> None:
    ran = subprocess.run([*AIGV, "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"aigv-reward {__version__}\n"


def test_a_reader_that_leaves_ends_it_silently() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FLOOD], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"row\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [sys.executable, "-c", FLOOD], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert ran.returncode == 1
    assert ran.stderr == (
        b"aigv-reward: error: cannot write the results (No space left on device); make room, or "
        b"redirect them elsewhere\n"
    )


def test_rows_come_as_they_are_ready_and_ctrl_c_keeps_them(clips: Any, checkpoint: Path) -> None:
    for number in range(500):
        os.link(clips.good[0], clips.folder / f"copy{number:03}.mp4")
    options = ("--format", "json", "--batch-size", "1")
    process = subprocess.Popen(
        [*AIGV, "score", clips.folder, "--checkpoint", checkpoint, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate()
    assert errors == b"aigv-reward: interrupted; the rows printed so far are complete\n"
    assert process.returncode == 130
    lines = [first, *rest.splitlines(keepends=True)]
    assert all(line.endswith(b"}\n") for line in lines)
    assert json.loads(first)["video"] == clips.good[0]
    assert len(lines) < 500

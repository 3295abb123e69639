"""Runs the code blocks of a Markdown file, in order, in a temporary copy of its folder.

    python tests/readme/run_blocks.py README.md

Every `python` block runs, all in one namespace; `python no-run: REASON` does not. A `bash` block
runs only as `bash runnable`. The first failure ends the run with a traceback that points at the
line of the Markdown file. The installed aigv_reward is what runs; the copy is there for the files.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "venv", "build", "dist", "__pycache__", ".*_cache", "*.egg-info"
)
FENCE = re.compile(r"^[ ]*(?P<ticks>`{3,})(?P<info>[^`]*)$")
MISSPELT = {"py": "python", "python3": "python", "sh": "bash", "shell": "bash", "console": "bash"}


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, what stands behind it, its first code line, its code."""

    language: str
    marker: str
    line: int
    code: str

    def runs(self, name: str) -> bool:
        """Whether the block is to be run.

        Raises:
            ValueError: the info string is none of those in the module's docstring.
        """
        where = f"{name}:{self.line - 1}"
        if self.language in MISSPELT:
            raise ValueError(
                f"{where}: language {self.language!r}; write {MISSPELT[self.language]!r}"
            )
        if self.language == "python":
            if self.marker and not re.fullmatch(r"no-run: \S.*", self.marker):
                raise ValueError(
                    f"{where}: marker {self.marker!r} of a python block; write nothing to run it, "
                    "or 'no-run: REASON'"
                )
            return not self.marker
        if self.language == "bash":
            if self.marker not in ("", "runnable"):
                raise ValueError(
                    f"{where}: marker {self.marker!r} of a bash block; write 'runnable' to run it, "
                    "or nothing"
                )
            return self.marker == "runnable"
        return False


def read_blocks(markdown: str, name: str) -> Iterator[Block]:
    """The fenced code blocks of a Markdown text, in order.

    Raises:
        ValueError: a fence is never closed.
    """
    lines = markdown.splitlines()
    number = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        number += 1
        if opening is None:
            continue
        start = number
        while number < len(lines) and lines[number].strip() != opening["ticks"]:
            number += 1
        if number == len(lines):
            raise ValueError(f"{name}:{start}: the code block is never closed; add {'`' * 3}")
        language, _, marker = opening["info"].strip().partition(" ")
        code = textwrap.dedent("\n".join(lines[start:number]))
        yield Block(language, marker.strip(), start + 1, code)
        number += 1


def run_python(block: Block, path: Path, namespace: dict[str, Any]) -> None:
    """Runs a block in `namespace`; its lines keep their numbers in the Markdown file.

    Raises:
        RuntimeError: the block leaves Python, which would skip the blocks that follow.
    """
    code = compile("\n" * (block.line - 1) + block.code, str(path), "exec")
    try:
        exec(code, namespace)
    except SystemExit as stop:
        raise RuntimeError(f"{path.name}:{block.line}: the block exits ({stop.code})") from stop


def run_bash(block: Block, path: Path) -> None:
    """Runs a block in a new bash that stops at the first command that fails.

    Raises:
        RuntimeError: a command failed.
    """
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", block.code], check=False)
    if ran.returncode:
        raise RuntimeError(f"{path.name}:{block.line}: the block ends with {ran.returncode}")


def run_file(path: Path) -> None:
    """Runs every runnable block of a Markdown file in a copy of the file's folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no block runs, or a block is marked wrongly.
        RuntimeError: a bash block failed, or a Python block left Python.
    """
    blocks = list(read_blocks(path.read_text(encoding="utf-8"), path.name))
    runnable = [block for block in blocks if block.runs(path.name)]
    if not runnable:
        raise ValueError(f"{path.name}: none of its {len(blocks)} code blocks runs")
    # The command line and the interpreter of this environment, whether it is activated or not.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    namespace: dict[str, Any] = {"__name__": "__main__"}
    origin = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.parent.name)
        shutil.copytree(path.parent, copy, symlinks=True, ignore=NOT_COPIED)
        os.chdir(copy)
        try:
            for block in runnable:
                began = time.perf_counter()
                print(f"-- {path.name}:{block.line} {block.language}", flush=True)
                if block.language == "python":
                    run_python(block, path, namespace)
                else:
                    run_bash(block, path)
                print(f"   {time.perf_counter() - began:.1f} s", flush=True)
        finally:
            os.chdir(origin)
    print(f"{path.name}: {len(runnable)} of {len(blocks)} code blocks ran")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    run_file(parser.parse_args().path.resolve())

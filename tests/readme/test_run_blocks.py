from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("run_blocks.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "numbers.txt").write_text("1 2 3")
    return folder


def run(folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    (folder / "README.md").write_text("\n".join(lines) + "\n")
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(folder / "README.md")],
        capture_output=True,
        text=True,
        check=False,
    )


def test_blocks_share_one_namespace_and_one_copy_of_the_folder(folder: Path) -> None:
    ran = run(
        folder,
        "# Title",
        "```bash runnable",
        "sed 's/1/7/' numbers.txt > changed.txt",
        "```",
        "```python",
        "text = open('changed.txt').read()",
        "```",
        "```text",
        "not code",
        "```",
        "1. In a list",
        "   ```python",
        "   if text:",
        "       print('sum', sum(map(int, text.split())))",
        "   ```",
    )
    assert ran.returncode == 0, ran.stderr
    assert "sum 12" in ran.stdout
    assert "README.md: 3 of 4 code blocks ran" in ran.stdout
    assert sorted(entry.name for entry in folder.iterdir()) == ["README.md", "numbers.txt"]


def test_blocks_marked_so_do_not_run(folder: Path) -> None:
    ran = run(
        folder,
        "```python no-run: needs a GPU",
        "raise SystemExit(3)",
        "```",
        "```bash",
        "exit 3",
        "```",
        "```python",
        "print('ran')",
        "```",
    )
    assert ran.returncode == 0, ran.stderr
    assert "README.md: 1 of 3 code blocks ran" in ran.stdout


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["", "```python", "x = 1", "x / 0", "```"], 'README.md", line 4'),
        (["```python", "raise SystemExit", "```"], "README.md:2: the block exits (None)"),
        (
            ["```bash runnable", "false | cat", "echo on", "```"],
            "README.md:2: the block ends with 1",
        ),
        (["```py", "x = 1", "```"], "README.md:1: language 'py'; write 'python'"),
        (
            ["```python skip", "x = 1", "```"],
            "README.md:1: marker 'skip' of a python block; write nothing to run it, "
            "or 'no-run: REASON'",
        ),
        (
            ["```bash run", "true", "```"],
            "README.md:1: marker 'run' of a bash block; write 'runnable' to run it, or nothing",
        ),
        (["```python", "x = 1"], "README.md:1: the code block is never closed; add ```"),
        (["```text", "x", "```"], "README.md: none of its 1 code blocks runs"),
    ],
)
def test_a_failure_ends_the_run_and_names_its_line(
    folder: Path, lines: list[str], message: str
) -> None:
    ran = run(folder, *lines)
    assert ran.returncode == 1
    assert message in ran.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "README.md"
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(missing)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert f"No such file or directory: '{missing}'" in ran.stderr

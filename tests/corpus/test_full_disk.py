"""A full disk ends a run with status 1 and loses nothing; with more room it goes on."""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from light_scorer import light_run

Texts = Callable[..., Path]
SCRIPT = Path(__file__).with_name("light_scorer.py")
REPOSITORY = Path(__file__).parents[2]


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((run / "shards").iterdir())}


def namespace(disk: Path) -> list[str] | None:
    """What runs a command where a disk may be mounted that nobody else sees; None: nothing does."""
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    try:
        tried = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", str(disk)], check=False)
    except FileNotFoundError:
        return None
    return command if tried.returncode == 0 else None


def test_the_run_completes_after_the_disk_is_enlarged(texts: Texts, tmp_path: Path) -> None:
    folder = texts(*map(str, range(18)))
    whole = light_run(folder, tmp_path / "whole")
    sizes = [-(-len(content) // 4096) * 4 for content in files(whole.folder).values()]
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = namespace(disk)
    run = shlex.join([sys.executable, str(SCRIPT), str(folder), str(disk / "run"), "0"])
    if inside is not None:  # room for the plan and half of the shards
        first = f"mount -t tmpfs -o size={8 + sum(sizes) // 2}k tmpfs $disk && {run}"
        enlarge = f"mount -o remount,size={64 + sum(sizes)}k $disk"
    else:  # no disk of its own: no file may be as large as a shard
        first, enlarge = f"(ulimit -f {min(sizes) // 2}; {run})", "true"
    script = f"""
        disk={shlex.quote(str(disk))} after={shlex.quote(str(tmp_path))}
        {first}; echo $?; cp -r $disk/run $after/full
        {enlarge} && {run}; echo $?; cp -r $disk/run $after/enlarged
    """
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*(inside or []), "sh", "-c", script],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["1", "0"], done.stderr
    reason = "No space left on device" if inside else "File too large"
    assert f"cannot be written ({reason}); make room, or repair it, and give the" in done.stderr
    kept, complete = files(tmp_path / "full"), files(tmp_path / "enlarged")
    assert complete == files(whole.folder)
    assert kept.items() < complete.items()  # whole shards, and no part of another
    assert bool(kept) == (inside is not None)


def test_a_file_that_may_not_grow_ends_the_run_which_goes_on_later(
    texts: Texts, tmp_path: Path
) -> None:
    folder = texts(*map(str, range(12)))
    out = tmp_path / "run"
    whole = light_run(folder, tmp_path / "whole")
    least = min(map(len, files(whole.folder).values()))
    light_run(folder, out, part=(1, 4), workers=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (least // 2, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            light_run(folder, out, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(files(out)) == ["000000.parquet"]  # and no part of another
    light_run(folder, out, workers=1)
    assert files(out) == files(whole.folder)

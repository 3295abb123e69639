from __future__ import annotations

import os
from pathlib import Path

import pytest

from aigv_reward.cli.errors import UsageError
from aigv_reward.cli.listing import find_videos


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty files; only their names matter here."""
    for name in (
        "clips/b.MP4",
        "clips/a.mp4",
        "clips/a/z.webm",
        "clips/a/y.txt",
        "clips/a.b/x.gif",
        "clips/.hidden.mp4",
        "clips/.cache/w.mp4",
        "clips/code.ts",
        "none/readme.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_are_searched_recursively_and_sorted_by_path(tree: Path) -> None:
    expected = ["clips/a/z.webm", "clips/a.b/x.gif", "clips/a.mp4", "clips/b.MP4"]
    assert find_videos(["clips"]) == sorted(expected, key=lambda path: path.split("/"))


def test_arguments_keep_their_order_and_their_spelling(tree: Path) -> None:
    assert find_videos(["./clips/b.MP4", "clips/a"]) == ["./clips/b.MP4", "clips/a/z.webm"]


def test_a_file_named_by_itself_is_taken_whatever_it_is(tree: Path) -> None:
    asked = ["clips/a/y.txt", "clips/missing.mp4", "https://example.org/a.mp4"]
    assert find_videos(asked) == asked


def test_a_file_found_twice_is_taken_once_where_it_came_first(tree: Path) -> None:
    assert find_videos(["clips/b.MP4", "clips", str(tree / "clips/b.MP4")])[0] == "clips/b.MP4"
    assert len(find_videos(["clips/b.MP4", "clips", str(tree / "clips/b.MP4")])) == 4


def test_links_to_folders_are_not_followed_unless_named(tree: Path) -> None:
    os.symlink("..", tree / "clips/a/loop")
    os.symlink("clips", tree / "linked")
    assert len(find_videos(["clips"])) == 4
    assert find_videos(["linked"])[0] == "linked/a/z.webm"


def test_a_folder_without_videos_is_an_error(tree: Path) -> None:
    with pytest.raises(
        UsageError, match=r"folder 'none' holds no video file \(.*\.mp4.*name files"
    ):
        find_videos(["clips", "none"])


def test_a_folder_that_goes_away_is_an_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("a.b"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # root may read every folder
    with pytest.raises(UsageError, match=r"folder 'clips/a\.b' cannot be listed \(Permission den"):
        find_videos(["clips"])

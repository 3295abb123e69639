"""Saved states, and what is read before a run: files, lists that agree, splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from aigv_reward.distortions import encode_mp4, render_scene
from aigv_reward.training.arguments import DataArguments
from aigv_reward.training.opinions import Opinion
from aigv_reward.training.run_folder import last_state
from aigv_reward.training.split_rows import deal_out, merge_opinions, read_splits
from aigv_reward.training.video_files import inspect_videos, unreadable_message


def test_the_last_state_is_the_newest_whole_one(tmp_path: Path) -> None:
    assert last_state(tmp_path) is None
    for step in (2, 10, 9):
        (tmp_path / f"checkpoint-{step}").mkdir()
    assert last_state(tmp_path) is None
    for step in (2, 9):
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").touch()
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-best" / "trainer_state.json").touch()
    assert last_state(tmp_path) == tmp_path / "checkpoint-9"


def test_contents_and_reasons(tmp_path: Path) -> None:
    good, twin, text = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"
    encode_mp4(good, render_scene(0, num_frames=3, height=48, width=64).frames, 8.0)
    twin.write_bytes(good.read_bytes())
    text.write_text("not a video")
    calls: list[int] = []
    paths = [good, twin, good, text, tmp_path / "none.mp4"]
    digests, failures = inspect_videos(paths, advance=lambda: calls.append(1))
    assert digests[good] == digests[twin] and set(digests) == {good, twin}
    assert set(failures) == {text, tmp_path / "none.mp4"} and len(calls) == 4


def test_a_message_names_the_first_few_and_counts_the_rest() -> None:
    failures = {Path(f"{i}.mp4"): "it is empty" for i in range(7)}
    message = unreadable_message(failures, 20)
    assert message.startswith("7 of 20 videos cannot be read: '0.mp4' (it is empty); '1.mp4'")
    assert message.endswith("'4.mp4' (it is empty); and 2 more")


def test_lists_that_rate_different_dimensions_are_joined() -> None:
    a = Opinion(Path("a"), "p", {"technical": 1.0}, "g")
    b = Opinion(Path("a"), "p", {"motion": 2.0})
    assert merge_opinions([a, b, a]) == [Opinion(a.path, "p", {"technical": 1, "motion": 2}, "g")]
    for other in (Opinion(a.path, "p", {"technical": 2.0}), Opinion(a.path, "q", {"motion": 1.0})):
        with pytest.raises(ValueError, match=r"two lists give 'a' different scores or prompts; av"):
            merge_opinions([a, other])


def write(folder: Path, name: str, videos: str, prompts: str) -> str:
    rows = [f"{video}.mp4|{prompt}|3" for video, prompt in zip(videos, prompts, strict=True)]
    (folder / name).write_text("\n".join(rows) + "\n")
    return str(folder / name)


def test_lists_of_their_own_replace_the_drawn_splits(tmp_path: Path) -> None:
    data = DataArguments(
        opinions=[write(tmp_path, "train.txt", "abcdef", "pqrstu")],
        validation_opinions=[write(tmp_path, "validation.txt", "gh", "vw")],
        test_fraction=0.5,
    )
    given = read_splits(data)
    digests = {item.path: item.path.name for items in given.values() for item in items}
    rows = deal_out(given, data, digests, {})
    assert {name: size["rows"] for name, size in rows.sizes().items()} == {
        "train": 3,
        "validation": 2,
        "test": 3,
    }
    assert rows.sizes()["validation"] == {"rows": 2, "pairs": 0, "videos": 2, "prompts": 2}
    skipped = {tmp_path / "g.mp4": "broken"}
    assert deal_out(given, data, digests, skipped).sizes()["validation"]["rows"] == 1
    assert rows.digest() == deal_out(given, data, digests, {}).digest()
    changed = {path: f"{name} edited" for path, name in digests.items()}
    assert rows.digest() != deal_out(given, data, changed, {}).digest()


def test_a_prompt_in_two_lists_is_a_leak(tmp_path: Path) -> None:
    data = DataArguments(
        opinions=[write(tmp_path, "train.txt", "ab", "pq")],
        validation_opinions=[write(tmp_path, "validation.txt", "cd", "rQ")],
        test_fraction=0,
    )
    given = read_splits(data)
    digests = {item.path: item.path.name for items in given.values() for item in items}
    message = r"1 text prompts are in both train and validation, such as 'q' \(1 and 1 rows\)"
    with pytest.raises(ValueError, match=message):
        deal_out(given, data, digests, {})
    with pytest.raises(ValueError, match=r"all 2 training rows have unreadable videos"):
        deal_out(given, data, digests, {i.path: "broken" for i in given["train"]})

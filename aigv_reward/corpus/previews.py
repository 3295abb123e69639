"""Videos of a run in small, as data that its page holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aigv_reward.corpus.item import Item
from aigv_reward.corpus.item_source import open_item
from aigv_reward.corpus.run_folder import Run

PREVIEWS: Final = 100
PREVIEW_CHARACTERS: Final = 24_000_000
"""A page tries so many videos, and holds about so much text of them."""

FRAMES: Final = 32
FRAME_BYTES: Final = 256 * 2**20
"""Of the frames of a video before they are shrunk: a large one gets fewer."""


class Previews:
    """Clips around the middle of videos, each made when it is first asked for.

    Attributes:
        urls: {ordinal: (still JPEG, mp4)}, data URLs.
        failures: {ordinal: why there is none}.
    """

    def __init__(self, run: Run) -> None:
        self.urls: dict[int, tuple[str, str]] = {}
        self.failures: dict[int, str] = {}
        self._run = run
        self._characters = 0

    @property
    def full(self) -> bool:
        """Whether enough was tried, or the page holds as much as it should."""
        tried = len(self.urls) + len(self.failures)
        return tried >= PREVIEWS or self._characters >= PREVIEW_CHARACTERS

    def add(self, row: Mapping[str, Any]) -> tuple[str, str] | None:
        """The preview of a row's video; None if there is none, or the page is full."""
        place = int(row["ordinal"])
        if place not in self.urls and place not in self.failures and not self.full:
            try:
                self.urls[place] = _preview(self._run.items[place], row)
                self._characters += sum(map(len, self.urls[place]))
            except (ValueError, OSError, RuntimeError) as error:
                self.failures[place] = str(error)
        return self.urls.get(place)


def _preview(item: Item, row: Mapping[str, Any]) -> tuple[str, str]:
    from aigv_reward.evaluation.audit_thumbnails import thumbnail
    from aigv_reward.video import read_frames

    if item.kind == "dataset":
        raise ValueError("no picture: the data set was in memory")
    most = max(1, FRAME_BYTES // max(1, 3 * (row["height"] or 1) * (row["width"] or 1)))

    def around_the_middle(count: int, fps: float) -> range:
        taken = min(count, FRAMES, most)
        return range((count - taken) // 2, (count + taken) // 2)

    seen = read_frames(open_item(item), around_the_middle)
    made = thumbnail(seen.frames, seen.fps)
    return made.still, made.video

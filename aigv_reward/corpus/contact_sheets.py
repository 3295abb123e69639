"""The videos at the ends of a dimension and at its threshold, as small pictures in the page."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from aigv_reward.corpus.histogram import Line
from aigv_reward.corpus.item import Item
from aigv_reward.corpus.item_source import open_item
from aigv_reward.corpus.run_folder import Run

SHOWN: Final = 4


def contact_sheets(
    run: Run,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    lines: Mapping[str, Sequence[Line]],
) -> str:
    """For each dimension: the lowest, those nearest to the first threshold, the highest."""
    pictures: dict[int, str] = {}
    sections = ""
    for name in names:
        scored = sorted((row for row in rows if row[name] is not None), key=lambda row: row[name])
        groups = {"lowest": scored[:SHOWN], "highest": scored[::-1][:SHOWN]}
        if lines.get(name):
            limit = lines[name][0].score
            near = sorted(scored, key=lambda row: abs(row[name] - limit))[:SHOWN]
            groups = {"lowest": groups["lowest"], "at the threshold": near, **groups}
        for label, some in groups.items():
            cards = ""
            for row in some:
                place = int(row["ordinal"])
                if place not in pictures:
                    pictures[place] = _picture(run.items[place])
                cards += (
                    f"<figure>{pictures[place]}<figcaption>{row[name]:.2f} "
                    f"{escape(os.path.basename(row['key']))}</figcaption></figure>"
                )
            if cards:
                sections += f"<h3>{escape(name)}: {label}</h3><div class='sheet'>{cards}</div>"
    return f"<h2>Examples</h2>{sections}" if sections else ""


def _picture(item: Item) -> str:
    """The middle frame of a video as an image element, or why there is none."""
    from aigv_reward.evaluation.audit_thumbnails import thumbnail
    from aigv_reward.video import read_frames

    try:
        seen = read_frames(open_item(item), lambda count, fps: [count // 2])
        url = thumbnail(seen.frames, seen.fps).still
    except (ValueError, OSError, RuntimeError) as error:
        return f"<p class='soft'>{escape(str(error))}</p>"
    return f"<img alt='' src='{escape(url)}'>"

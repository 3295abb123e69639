"""The videos of a report's table, as data for the script that shows a page of them at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aigv_reward.corpus.item import Item
from aigv_reward.corpus.previews import Previews
from aigv_reward.corpus.selection import Selection

ROWS: Final = 100_000
"""At most so many in the table."""

Row = Mapping[str, Any]


def video_table(
    rows: Sequence[Row],
    items: Sequence[Item],
    generators: Sequence[str | None],
    names: Mapping[str, str],
    selection: Selection | None,
    previews: Previews,
) -> str:
    """The section with the table; previews are added until the page has enough of them.

    Args:
        rows: all of them.
        items: the video of each.
        generators: of each row, or None.
        names: {dimension: what the page calls it}.
        selection: what rules made of the rows, if any.
        previews: those that the page has already; their rows are always in the table.
    """
    shown = _shown(rows, previews)
    for row in shown:
        if row["status"] == "ok":
            previews.add(row)
    places = [int(row["ordinal"]) for row in shown]
    verdicts = _verdicts(shown, selection)
    columns = [_numbers("#", places), _texts("video", [row["key"] for row in shown])]
    if any(generators):
        columns.append(_texts("generator", [generators[place] for place in places]))
    columns.append(_texts("prompt", [row["prompt"] for row in shown]))
    columns += [
        _numbers(label, [_rounded(row[name]) for row in shown], 3) for name, label in names.items()
    ]
    columns += [
        _texts("verdict", [one for one, _ in verdicts]),
        _texts("reason", [why for _, why in verdicts]),
    ]
    files = [_url(items[place]) for place in places]
    # As text, which the script puts together again; no folder is meant.
    base = os.path.commonprefix([url for url in files if url is not None])  # noqa: RUF071
    data = {
        "columns": columns,
        "base": base,
        "files": [None if url is None else url[len(base) :] for url in files],
        "previews": previews.urls,
    }
    few = len(shown) < len(rows)
    said = (
        f"{len(shown):,} of {len(rows):,} videos, so that a browser stays quick: those above, and "
        "others at equal steps through the input. The Parquet files have all. "
        if few
        else ""
    )
    # "<" is all that could end the element.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (
        f"<h2>Videos</h2><p class='soft'>{said}A row opens to its clip: for {len(previews.urls)} "
        "of them a part in small, which this file holds; for others the video's own file, while it "
        "lies where it was scored.</p><div id='videos' class='card'><noscript>The table needs "
        "JavaScript.</noscript></div><script type='application/json' id='data'>"
        f"{text.replace('<', chr(92) + 'u003c')}</script>"
    )


def _shown(rows: Sequence[Row], previews: Previews) -> Sequence[Row]:
    if len(rows) <= ROWS:
        return rows
    step = len(rows) / (ROWS - len(previews.urls))
    evenly = {int(place * step) for place in range(ROWS - len(previews.urls))}
    return [rows[place] for place in sorted(evenly | previews.urls.keys())]


def _verdicts(rows: Sequence[Row], selection: Selection | None) -> list[tuple[str, str | None]]:
    """For each row a word, and why."""
    rejected = {} if selection is None else {one.row["ordinal"]: one for one in selection.rejected}
    found: list[tuple[str, str | None]] = []
    for row in rows:
        if row["status"] != "ok":
            found.append((row["status"], f"{row['error_type']}: {row['error']}"))
        elif (why := rejected.get(row["ordinal"])) is not None:
            found.append(("removed", "; ".join(why.reasons)))
        else:
            found.append(("ok" if selection is None else "kept", None))
    return found


def _numbers(name: str, values: Sequence[float | None], digits: int = 0) -> dict[str, Any]:
    return {"name": name, "digits": digits, "values": values}


def _texts(name: str, values: Sequence[str | None]) -> dict[str, Any]:
    """A column as places in a list of its different texts, many of which repeat."""
    texts = dict.fromkeys(text for text in values if text is not None)
    places = {text: place for place, text in enumerate(texts)}
    at = [None if text is None else places[text] for text in values]
    return {"name": name, "texts": list(places), "values": at}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)


def _url(item: Item) -> str | None:
    """Where a video's own file lies."""
    return Path(os.fsdecode(item.path)).as_uri() if item.kind == "file" else None

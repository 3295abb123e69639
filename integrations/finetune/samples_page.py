"""Sample videos of a training run with their scores, as a page on disk that needs nothing else."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Final

from torch import Tensor

from aigv_reward.integrations.finetune.sample_video import write_sample_video
from aigv_reward.integrations.finetune.samples_style import CSS, SCRIPT

PAGE: Final = "index.html"
STATE: Final = "samples.json"
VIDEOS: Final = "videos"


@dataclass(frozen=True)
class Sample:
    """A video to show.

    Attributes:
        frames: (T, 3, H, W) in [0, 1].
        prompt: that it was made of.
        scores: {name: value}, all finite; empty where there is none.
        error: why there is no score.
    """

    frames: Tensor
    prompt: str
    scores: Mapping[str, float] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class _Shown:
    """A sample on disk."""

    video: str
    prompt: str
    scores: dict[str, float]
    error: str | None


class SamplesPage:
    """A folder with `index.html`, which `append` adds a step to; the latest stands first.

    The page, the list behind it and each video are written whole or not at all, and what an
    earlier process wrote into the folder is kept. In a run of several processes one appends.

    Args:
        folder: made where it is not there.
        title: of the page.

    Raises:
        ValueError: the folder's list of samples cannot be read.
    """

    def __init__(self, folder: str | os.PathLike[str], *, title: str) -> None:
        self.folder, self.title = Path(folder), title
        self._steps = _load(self.folder / STATE)

    @property
    def path(self) -> Path:
        """Of the page."""
        return self.folder / PAGE

    @property
    def steps(self) -> list[int]:
        """Steps on the page, in order."""
        return sorted(self._steps)

    def append(self, step: int, samples: Sequence[Sample], *, fps: float) -> None:
        """Shows the samples of a step.

        Steps from this one on that are already there are removed: a run that was cut off and
        resumed from a checkpoint does them again.

        Args:
            step: of training, at least 0.
            samples: in the same order at every step.
            fps: frames per second of the videos.

        Raises:
            ValueError: a negative step, no samples, or a score that is not finite.
        """
        if step < 0 or not samples:
            raise ValueError(
                f"step is {step} with {len(samples)} samples; give a step of at least 0 and at "
                "least one sample"
            )
        for sample in samples:
            for name, value in sample.scores.items():
                if not math.isfinite(value):
                    raise ValueError(
                        f"{name} of {sample.prompt!r} is {value}; leave out a score that failed "
                        "and give its error"
                    )
        videos = self.folder / VIDEOS
        videos.mkdir(parents=True, exist_ok=True)
        shown = []
        for index, sample in enumerate(samples):
            name = f"step_{step:07d}_{index:03d}.mp4"
            write_sample_video(videos / name, sample.frames, fps=fps)
            scores = {name: float(value) for name, value in sample.scores.items()}
            shown.append(_Shown(f"{VIDEOS}/{name}", sample.prompt, scores, sample.error))
        gone = {one.video for at, row in self._steps.items() if at >= step for one in row}
        self._steps = {at: row for at, row in self._steps.items() if at < step} | {step: shown}
        self._write()
        for video in gone - {one.video for one in shown}:
            (self.folder / video).unlink(missing_ok=True)

    def _write(self) -> None:
        rows = {str(step): [asdict(one) for one in row] for step, row in self._steps.items()}
        _replace(self.folder / STATE, json.dumps({"steps": rows}, indent=1) + "\n")
        _replace(self.path, _page(self.title, self._steps))


def _load(path: Path) -> dict[int, list[_Shown]]:
    if not path.exists():
        return {}
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["steps"]
        return {int(step): [_Shown(**one) for one in row] for step, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{str(path)!r} is no list of samples ({error}); move the folder away, or choose "
            "another"
        ) from error


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def _page(title: str, steps: Mapping[int, Sequence[_Shown]]) -> str:
    first: dict[tuple[int, str], _Shown] = {}
    for step in sorted(steps):
        for place, one in enumerate(steps[step]):
            if one.scores:
                first.setdefault((place, one.prompt), one)
    sections = "".join(
        f"<h2 id='step-{step}'>Step {step}</h2><div class='grid'>"
        f"{''.join(_card(one, first.get((i, one.prompt))) for i, one in enumerate(steps[step]))}"
        "</div>"
        for step in sorted(steps, reverse=True)
    )
    count = len(steps)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body><main>"
        f"<h1>{escape(title)}</h1><p class='soft'>{count} step{'s' * (count != 1)}, the latest "
        "first. What stands beside a score is its change since the first step.</p>"
        f"{_means(steps)}{sections}</main><script>{SCRIPT}</script></body></html>\n"
    )


def _means(steps: Mapping[int, Sequence[_Shown]]) -> str:
    """A row a step: the mean of every score."""
    every = [one for row in steps.values() for one in row]
    names = list(dict.fromkeys(name for one in every for name in one.scores))
    if not names:
        return ""
    head = "".join(f"<th class='n'>{escape(name)}</th>" for name in names)
    body = ""
    for step in sorted(steps, reverse=True):
        body += f"<tr><td><a href='#step-{step}'>{step}</a></td>"
        for name in names:
            values = [one.scores[name] for one in steps[step] if name in one.scores]
            mean = f"{math.fsum(values) / len(values):.3f}" if values else "\N{EN DASH}"
            body += f"<td class='n'>{mean}</td>"
        failed = sum(1 for one in steps[step] if not one.scores)
        body += f"<td class='n'>{failed or ''}</td></tr>"
    return (
        "<div class='card'><div class='scroll'><table><thead><tr><th>step</th>"
        f"{head}<th class='n'>no score</th></tr></thead><tbody>{body}</tbody></table></div></div>"
    )


def _card(one: _Shown, start: _Shown | None) -> str:
    rows = ""
    for name, value in one.scores.items():
        change = ""
        if start is not None and start is not one and name in start.scores:
            apart = value - start.scores[name]
            tone = "up" if apart > 0 else "down" if apart < 0 else "soft"
            change = f"<span class='{tone}'>{apart:+.3f}</span>"
        rows += (
            f"<tr><td>{escape(name)}</td><td class='n'>{value:.3f}</td>"
            f"<td class='n'>{change}</td></tr>"
        )
    error = f"<p class='failed'>{escape(one.error)}</p>" if one.error else ""
    table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
    return (
        f"<div class='card'><video src='{escape(one.video)}' muted loop controls playsinline "
        f"preload='metadata'></video><div class='under'><p class='prompt'>{escape(one.prompt)}</p>"
        f"{table}{error}</div></div>"
    )

"""The page, the files and the pictures of an audit."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from aigv_reward.distortions import DISTORTIONS
from aigv_reward.evaluation.audit import AuditResult, AuditSettings, audit, write_audit
from aigv_reward.evaluation.audit_clips import open_clips, scenes
from aigv_reward.evaluation.audit_markup import number, percent, quantity, signed
from aigv_reward.evaluation.audit_page import audit_page
from aigv_reward.evaluation.audit_plots import line_plot, round_ticks
from aigv_reward.evaluation.audit_thumbnails import Thumbnails, jpeg, thumbnail, thumbnails
from aigv_reward.evaluation.hacks import HACKS
from aigv_reward.evaluation.harmless import HARMLESS
from aigv_reward.video import Video, read_video

SETTINGS = AuditSettings(
    distortions=("noise", "freeze"), variants=1, num_frames=8, side=32, steps=2
)
VOID = {"meta", "br", "line", "circle", "polyline"}


def parts(frames: Tensor, prompts: Sequence[str | None] | None, *, fps: Any = None) -> Any:
    flow = (frames[:, 1:] - frames[:, :-1]).abs().mean(dim=(1, 2, 3, 4))
    bright = frames.mean(dim=(1, 2, 3, 4))
    return {"technical": bright, "motion": flow, "<b>art</b> & co": 1000 * bright.detach()}


class Tree(HTMLParser):
    """Checks that tags close in order, and keeps text and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID, tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += f"{data} "


@pytest.fixture(scope="module")
def video() -> Video:
    return Video(next(scenes(1, SETTINGS, captions=False)).frames, 8.0)


@pytest.fixture(scope="module")
def result(video: Video) -> AuditResult:
    still = Video(video.frames[:1].repeat(8, 1, 1, 1), 8.0)
    prompts = ["a <script>alert(1)</script> cat", None]
    return audit(parts, [video, still], prompts=prompts, settings=SETTINGS, name="my <i>reward</i>")


@pytest.fixture(scope="module")
def pictures(video: Video) -> Thumbnails:
    return thumbnails(next(open_clips([video], None, SETTINGS)), 0, SETTINGS)


@pytest.fixture(scope="module")
def page(result: AuditResult, pictures: Thumbnails) -> str:
    return audit_page(result, pictures)


def parsed(page: str) -> Tree:
    tree = Tree()
    tree.feed(page)
    assert tree.open == []
    return tree


def test_the_page_says_what_the_audit_found(result: AuditResult, page: str) -> None:
    text = parsed(page).text
    for word in ("noise", "freeze", *HACKS, *HARMLESS, "again", "degraded", "no gradient"):
        assert word in text
    fall = result.distortions[0].falls["technical"]
    assert number(fall.spearman) in text and signed(-fall.drops[3]) in text
    told = [v for v in result.verdicts if v.check == "harmless" and v.passed is not None]
    assert f"{sum(v.passed is True for v in told)}  of {len(told)}" in text
    assert f"{len(result.failed)} failed" in text
    assert "each curve is divided by its own" in text  # 1000 times the brightness


def test_names_and_prompts_are_escaped(page: str) -> None:
    tree = parsed(page)
    assert "<b>art</b> & co" in tree.text and "my <i>reward</i>" in tree.text
    assert "a <script>alert(1)</script> cat" in tree.text
    assert page.count("<script") == 1 and "<b>art" not in page and "<i>reward" not in page


def test_the_page_reaches_nothing(page: str) -> None:
    for tag, name, value in parsed(page).attributes:
        if name in ("src", "href", "poster"):
            assert value.startswith("data:"), (tag, name)
    assert not re.search(r"https?:|url\(|@import|fetch\(", page)


def test_the_page_repeats(result: AuditResult, video: Video, page: str) -> None:
    again = thumbnails(next(open_clips([video], None, SETTINGS)), 0, SETTINGS)
    assert audit_page(result, again) == page


def test_there_is_a_picture_of_everything(pictures: Thumbnails, page: str) -> None:
    shown = [pictures.clean, *pictures.distortions.values(), *pictures.hacks.values()]
    assert len(shown) == 1 + 2 * 2 + 3 * len(HACKS)
    assert page.count("<video") == len(shown)
    assert all(picture.video in page and picture.still in page for picture in shown)
    assert pictures.distortions["noise", 4].still != pictures.clean.still


def test_an_audit_without_ascent_or_dimensions_has_a_page(pictures: Thumbnails) -> None:
    def plain(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4))

    settings = replace(SETTINGS, steps=0)
    text = parsed(audit_page(audit(plain, num_scenes=1, settings=settings), pictures)).text
    assert "It was left out." in text and "1 clip," in text


def test_thumbnails_show_the_frames() -> None:
    frames = torch.zeros(40, 3, 200, 300, dtype=torch.uint8)
    frames[:, 0, :, :150] = 200
    made = thumbnail(frames, 8.0)
    assert (made.height, made.width) == (144, 216)
    data = base64.b64decode(made.video.removeprefix("data:video/mp4;base64,"))
    decoded = read_video(data)
    assert decoded.frames.shape == (32, 3, 144, 216)
    colours = decoded.frames[16, :, 72, [40, 180]].T.tolist()
    assert np.abs(np.array(colours) - [[200, 0, 0], [0, 0, 0]]).max() < 12
    small = thumbnail(frames[:3, :, :33, :47], 8.0)
    assert (small.height, small.width) == (32, 48)


def test_jpeg_files_decode_to_the_picture() -> None:
    picture = (torch.arange(64)[:, None] + torch.arange(96)).to(torch.uint8).expand(3, 64, 96)
    with av.open(io.BytesIO(jpeg(picture))) as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(decoded.transpose(2, 0, 1).astype(int) - picture.numpy()).mean() < 3


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1.2, 4.8, [1, 2, 3, 4, 5]),
        (-0.03, 0.01, [-0.03, -0.02, -0.01, 0.0, 0.01]),
        (0, 1, [0, 0.25, 0.5, 0.75, 1.0]),
        (3, 3, [2.5, 2.75, 3.0, 3.25, 3.5]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high) == pytest.approx(ticks)


def test_a_line_runs_through_its_points() -> None:
    """0..4 over 256 units from 36: the middle is at 164; 1..5 over 120 units: 3 lies at 68."""
    plot = line_plot(
        {"a<b": [5, 3, 1], "other": [1, 1, 1]}, ["x", "y", "z"], span=(1, 5), emphasised="a<b",
        title='<"t">',
    )  # fmt: skip
    first = re.search(r'<g class="s0 loud"><title>a&lt;b</title><polyline points="([^"]*)"', plot)
    assert first is not None
    assert first[1] == "36.0,8.0 164.0,68.0 292.0,128.0"
    assert 's1 quiet"' in plot and plot.index("s1 quiet") < plot.index("s0 loud")
    assert plot.count("<circle") == 3
    assert 'aria-label="&lt;&quot;t&quot;&gt;"' in plot


def ascii_only(text: str) -> str:
    plain = {"\N{EN DASH}": "none", "\N{MINUS SIGN}": "-", "\N{MULTIPLICATION SIGN}": "x"}
    return text.translate(str.maketrans(plain))


@pytest.mark.parametrize(
    ("form", "values", "texts"),
    [
        (number, (None, -0.001, 1.006, -2.5), ("none", "0.00", "1.01", "-2.50")),
        (signed, (0.0, 0.25, -0.0123), ("+0.00", "+0.25", "-0.012")),
        (quantity, (None, 0.0, 4.123, 2e-05), ("none", "0.00", "4.12", "2e-05")),
        (percent, (None, 0.0, 0.104, 1.0, 2.5), ("none", "0%", "10.4%", "100%", "250%")),
        (percent, (9.99, 12.74, -188.2), ("999%", "12.7x", "-188x")),
    ],
)
def test_numbers(form: Any, values: tuple[float | None, ...], texts: tuple[str, ...]) -> None:
    assert tuple(ascii_only(form(value)) for value in values) == texts


def test_files(tmp_path: Path, result: AuditResult, video: Video, page: str) -> None:
    write_audit(result, tmp_path / "deep" / "audit", [video])
    folder = tmp_path / "deep" / "audit"
    assert sorted(path.name for path in folder.iterdir()) == ["audit.json", "index.html"]
    assert json.loads((folder / "audit.json").read_text()) == json.loads(
        json.dumps(result.to_dict())
    )
    assert (folder / "index.html").read_text(encoding="utf-8") == page


def test_files_of_other_clips_are_refused(tmp_path: Path, result: AuditResult) -> None:
    message = r"the first clip is 'scene 9000000', but the audit began with 'clips\[0\]'"
    with pytest.raises(ValueError, match=message):
        write_audit(result, tmp_path / "audit")
    assert not (tmp_path / "audit").exists()


def test_every_distortion_can_be_shown() -> None:
    """At the smallest side that a clip may have."""
    settings = replace(SETTINGS, distortions=tuple(DISTORTIONS))
    made = thumbnails(next(scenes(1, settings, captions=False)), 0, settings)
    assert len(made.distortions) == 2 * len(DISTORTIONS)
